#include "fovea/kernels/upsample.h"

#include <vector>

#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// The inputs that one output of an axis reads, and their weights.
template <class A>
struct Source {
  int64_t low, high;
  A low_weight, high_weight;
};

/// Along an axis, for each output. In integers, so that the place u is exact.
template <class A>
std::vector<Source<A>> sources(int64_t inputs, int64_t outputs) {
  const int64_t steps = std::max<int64_t>(outputs - 1, 1);
  std::vector<Source<A>> result;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t u = i * (inputs - 1);  // in units of 1 / steps; 0 for the only output
    const int64_t low = u / steps;
    const A high_weight = static_cast<A>(u % steps) / static_cast<A>(steps);
    result.push_back({low, std::min(low + 1, inputs - 1), A(1) - high_weight, high_weight});
  }
  return result;
}

/// An output that reads a given input, and the weight with which it does.
template <class A>
struct Reader {
  int64_t output;
  A weight;
};

/// Along an axis, for each input, in the order of the outputs.
template <class A>
std::vector<std::vector<Reader<A>>> readers(int64_t inputs, int64_t outputs) {
  std::vector<std::vector<Reader<A>>> result(static_cast<size_t>(inputs));
  int64_t output = 0;
  for (const Source<A>& source : sources<A>(inputs, outputs)) {
    result[static_cast<size_t>(source.low)].push_back({output, source.low_weight});
    if (source.high_weight > 0)
      result[static_cast<size_t>(source.high)].push_back({output, source.high_weight});
    ++output;
  }
  return result;
}

/// y = upsample(x) [+ skip]
template <bool kHasSkip>
void interpolate(const char* operation, const Tensor& x, const Tensor& skip, Tensor& y) {
  const int64_t h = x.shape(1), w = x.shape(2), C = x.shape(3);
  const int64_t N = y.shape(0), H = y.shape(1), W = y.shape(2);
  visit_floating(operation, y.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const std::vector<Source<A>> rows = sources<A>(h, H), columns = sources<A>(w, W);
    const T* const from = x.data<T>();
    const T* const added = kHasSkip ? skip.data<T>() : nullptr;
    T* const to = y.data<T>();
    parallel_for_rows(N * H, W * C, [&](int64_t row) {
      const Source<A> vertical = rows[static_cast<size_t>(row % H)];
      const T* const low = from + (row / H * h + vertical.low) * w * C;
      const T* const high = from + (row / H * h + vertical.high) * w * C;
      for (int64_t j = 0; j < W; ++j) {
        const Source<A> horizontal = columns[static_cast<size_t>(j)];
        const auto interpolate_channels = [&](int64_t n, const auto& outputs, const auto& inputs) {
          const A* __restrict low_left = inputs[0];
          const A* __restrict low_right = inputs[1];
          const A* __restrict high_left = inputs[2];
          const A* __restrict high_right = inputs[3];
          const A* __restrict other = inputs.back();
          A* __restrict target = outputs[0];
#pragma omp simd
          for (int64_t c = 0; c < n; ++c) {
            const A above = horizontal.low_weight * low_left[c] + horizontal.high_weight * low_right[c];
            const A below = horizontal.low_weight * high_left[c] + horizontal.high_weight * high_right[c];
            A sum = vertical.low_weight * above + vertical.high_weight * below;
            if constexpr (kHasSkip) sum += other[c];
            target[c] = sum;
          }
        };
        const int64_t at = (row * W + j) * C;
        std::array<const T*, kHasSkip ? 5 : 4> read{low + horizontal.low * C, low + horizontal.high * C,
                                                    high + horizontal.low * C, high + horizontal.high * C};
        if constexpr (kHasSkip) read[4] = added + at;
        for_accumulated<T, 1, read.size()>(C, {to + at}, read, interpolate_channels);
      }
    });
  });
}

}  // namespace

void upsample_forward(const Tensor& x, Tensor& y) {
  interpolate</*kHasSkip=*/false>("upsample", x, Tensor(), y);
}

void upsample_add_forward(const Tensor& x, const Tensor& skip, Tensor& y) {
  interpolate</*kHasSkip=*/true>("upsample_add", x, skip, y);
}

void upsample_backward(const Tensor& dy, Tensor& dx) {
  const int64_t N = dx.shape(0), h = dx.shape(1), w = dx.shape(2), C = dx.shape(3);
  const int64_t H = dy.shape(1), W = dy.shape(2);
  visit_floating("upsample", dx.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto row_readers = readers<A>(h, H), column_readers = readers<A>(w, W);
    const T* const from = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_for_rows(N * h, W * C * H / h, [&](int64_t row) {
      // Down first: what the input row gets from each output column; then across.
      std::vector<A> column_sums(static_cast<size_t>(W * C), A(0));
      A* const down = column_sums.data();
      for (const Reader<A>& reader : row_readers[static_cast<size_t>(row % h)]) {
        const T* const gradient = from + (row / h * H + reader.output) * W * C;
        for_each_vector<A>(W * C, [&](int64_t i, auto lanes) {
          store(down + i, lanes, load(down + i, lanes) + reader.weight * load(gradient + i, lanes));
        });
      }
      for (int64_t j = 0; j < w; ++j) {
        for_each_vector<A>(C, [&](int64_t c, auto lanes) {
          Vec<A> sum{};
          for (const Reader<A>& reader : column_readers[static_cast<size_t>(j)]) {
            sum += reader.weight * load(down + reader.output * C + c, lanes);
          }
          store(to + (row * w + j) * C + c, lanes, sum);
        });
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
