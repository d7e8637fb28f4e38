#include "fovea/kernels/upsample.h"

#include "fovea/kernels/cuda/images.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::Divisor, cuda::Floats, cuda::ImagePacks, cuda::PackPosition;

/// The inputs that one output of an axis reads, and their weights.
struct Source {
  unsigned low, high;
  float low_weight, high_weight;
};

/// Rows or columns: output i reads at i * (inputs - 1) / steps. In integers, so that the place is exact.
class Axis {
 public:
  Axis(const char* operation, int64_t inputs, int64_t outputs)
      : inputs_(static_cast<unsigned>(inputs)),
        outputs_(static_cast<unsigned>(outputs)),
        steps_(std::max<int64_t>(outputs - 1, 1)),
        per_input_(std::max<int64_t>(inputs - 1, 1)),
        inverse_(1.0f / static_cast<float>(std::max<int64_t>(outputs - 1, 1))) {
    check(inputs < (int64_t{1} << 31) / outputs, operation, ": from ", inputs, " to ", outputs,
          " along one axis is too much for a CUDA device, wanted a product below 2^31");
  }

  __device__ unsigned inputs() const { return inputs_; }

  __device__ Source source(unsigned output) const {
    const unsigned u = output * (inputs_ - 1);  // in units of 1 / steps; 0 for the only output
    const unsigned low = steps_.quotient(u);
    const float high_weight = static_cast<float>(u - low * steps_.divisor()) * inverse_;
    return {low, low + 1 < inputs_ ? low + 1 : low, 1.0f - high_weight, high_weight};
  }

  /// The outputs that read an input are first_reader to last_reader; none where the last is before the first.
  __device__ int first_reader(unsigned input) const {
    return input == 0 ? 0 : static_cast<int>(per_input_.quotient((input - 1) * steps_.divisor()) + 1);
  }
  __device__ int last_reader(unsigned input) const {
    const unsigned last =
        input + 1 < inputs_ ? per_input_.quotient((input + 1) * steps_.divisor() - 1) : outputs_ - 1;
    return static_cast<int>(last < outputs_ ? last : outputs_ - 1);
  }
  /// The weight with which a reader of `input` reads it.
  __device__ float weight(int reader, unsigned input) const {
    const int distance = reader * static_cast<int>(inputs_ - 1) - static_cast<int>(input * steps_.divisor());
    return static_cast<float>(static_cast<int>(steps_.divisor()) - abs(distance)) * inverse_;
  }

 private:
  unsigned inputs_, outputs_;
  Divisor steps_, per_input_;
  float inverse_;  // 1 / steps
};

/// y = upsample(x) [+ skip]. A thread makes a pack of channels of one pixel: reads four packs of x, which its
/// neighbours read too, and skip once, writes y once.
template <int kWidth, bool kHasSkip, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, ImagePacks::kBlocks)
    upsample_forward_kernel(ImagePacks packs, Axis rows, Axis columns, int64_t C, const T* x, const T* skip,
                            T* y) {
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);
  const Source vertical = rows.source(place.h), horizontal = columns.source(place.w);
  const int64_t image_row = int64_t{place.n} * rows.inputs();
  const T* low = x + (image_row + vertical.low) * columns.inputs() * C + place.pack * kWidth;
  const T* high = x + (image_row + vertical.high) * columns.inputs() * C + place.pack * kWidth;
  const int64_t left = horizontal.low * C, right = horizontal.high * C;
  const auto low_left = cuda::load<kWidth>(low + left), low_right = cuda::load<kWidth>(low + right);
  const auto high_left = cuda::load<kWidth>(high + left), high_right = cuda::load<kWidth>(high + right);
  Floats<kWidth> sum{};
  if constexpr (kHasSkip) sum = cuda::load<kWidth>(skip + int64_t{number} * kWidth);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float above = horizontal.low_weight * low_left[i] + horizontal.high_weight * low_right[i];
    const float below = horizontal.low_weight * high_left[i] + horizontal.high_weight * high_right[i];
    sum[i] += vertical.low_weight * above + vertical.high_weight * below;
  }
  cuda::store<kWidth>(y + int64_t{number} * kWidth, sum);
}

template <bool kHasSkip>
void interpolate(const char* operation, const Tensor& x, const Tensor& skip, Tensor& y) {
  if (y.size() == 0) return;
  const int64_t C = y.shape(3);
  const Axis rows(operation, x.shape(1), y.shape(1)), columns(operation, x.shape(2), y.shape(2));
  cuda::visit_device_floating(operation, y.dtype(), [&]<class T>() {
    const T* const added = kHasSkip ? skip.data<T>() : nullptr;
    const auto run = [&]<int kWidth>() {
      const ImagePacks packs(operation, y.shape(), kWidth);
      cuda::launch(operation, upsample_forward_kernel<kWidth, kHasSkip, T>, packs.grid(), packs, rows,
                   columns, C, x.data<T>(), added, y.data<T>());
    };
    cuda::visit_width<T>(C, run, x.data<T>(), added, y.data<T>());
  });
}

[[maybe_unused]] constexpr int kBackwardBlocks =
    3;  // on a multiprocessor: a thread keeps four packs beside two rows of sums

/// The sum over the outputs of one row, of which `gradients` is the first, that read an input column, each
/// times its weight, in their order. Four loads are under way together.
template <int kWidth, class T>
__device__ inline Floats<kWidth> gather_across(const Axis& columns, unsigned column, int first, int last,
                                               int64_t C, const T* gradients) {
  constexpr int kAtOnce = 4;
  Floats<kWidth> sum{};
  for (int begin = first; begin <= last; begin += kAtOnce) {
    cuda::Pack<T, kWidth> gradient[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      gradient[k] = cuda::load_pack<kWidth>(gradients + std::min(begin + k, last) * C);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      // A selection, not a branch: behind a branch a load would wait until it is known to be needed.
      const float weight = columns.weight(begin + k, column);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const float term = weight * cuda::to_float(gradient[k][i]);
        sum[i] += begin + k <= last ? term : 0.0f;
      }
    }
  }
  return sum;
}

/// A thread makes a pack of channels of one column of dx over `strip` rows: goes down the rows of dy that
/// these need, sums across each, and adds it to the two rows of dx that it was made from. It reads each row
/// of dy once, beside two or so that the next strip needs too; its neighbours read the same columns.
template <int kWidth, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, kBackwardBlocks)
    upsample_backward_gather_kernel(ImagePacks packs, Axis rows, Axis columns, int strip, int64_t W,
                                    int64_t C, int64_t H, const T* dy, T* dx) {
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);  // h counts strips
  const int begin = static_cast<int>(place.h) * strip;
  const int end = std::min(begin + strip, static_cast<int>(rows.inputs()));
  const int first = columns.first_reader(place.w), last = columns.last_reader(place.w);
  T* const out =
      dx + (int64_t{place.n} * rows.inputs() * columns.inputs() + place.w) * C + place.pack * kWidth;
  const T* const in = dy + int64_t{place.n} * H * W * C + place.pack * kWidth;
  // The sums of row `row`, and of the one after it. The row before the strip has readers in common with it.
  Floats<kWidth> current{}, next{};
  int row = begin - 1;
  const auto go_on = [&] {
    if (row >= begin) cuda::store<kWidth>(out + row * (columns.inputs() * C), current);
    current = next;
    next = Floats<kWidth>{};
    ++row;
  };
  const int last_output = rows.last_reader(static_cast<unsigned>(end - 1));
  for (int i = rows.first_reader(static_cast<unsigned>(begin)); i <= last_output; ++i) {
    const Source source = rows.source(static_cast<unsigned>(i));
    while (row < static_cast<int>(source.low)) go_on();
    const auto across = gather_across<kWidth>(columns, place.w, first, last, C, in + i * (W * C));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) current[k] += source.low_weight * across[k];
    if (source.high_weight > 0.0f) {
#pragma unroll
      for (int k = 0; k < kWidth; ++k) next[k] += source.high_weight * across[k];
    }
  }
  while (row < end) go_on();
}

}  // namespace

void upsample_forward(const Tensor& x, Tensor& y) {
  interpolate</*kHasSkip=*/false>("upsample", x, Tensor(), y);
}

void upsample_add_forward(const Tensor& x, const Tensor& skip, Tensor& y) {
  interpolate</*kHasSkip=*/true>("upsample_add", x, skip, y);
}

void upsample_backward(const Tensor& dy, Tensor& dx) {
  if (dx.size() == 0) return;
  const int64_t h = dx.shape(1), H = dy.shape(1), W = dy.shape(2), C = dx.shape(3);
  const Axis rows("upsample", h, H), columns("upsample", dx.shape(2), W);
  visit_device_floating("upsample", dx.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      // The longer the strips, the less is read twice; but there must be enough of them. The sums are the
      // same in any case.
      const int64_t enough = int64_t{fovea::cuda::multiprocessors()} * 384;
      int64_t strip = 1;
      while (strip < 8 && dx.size() / kWidth / (2 * strip) >= enough) strip *= 2;
      const ImagePacks packs("upsample", Shape{dx.shape(0), (h + strip - 1) / strip, dx.shape(2), C}, kWidth);
      launch("upsample", upsample_backward_gather_kernel<kWidth, T>, packs.grid(), packs, rows, columns,
             static_cast<int>(strip), W, C, H, dy.data<T>(), dx.data<T>());
    };
    visit_width<T>(C, run, dy.data<T>(), dx.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
