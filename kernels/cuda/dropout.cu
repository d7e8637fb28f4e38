#include "fovea/kernels/dropout.h"

#include "fovea/core/check.h"
#include "fovea/core/cuda/runtime.h"
#include "fovea/kernels/cuda/elements.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kDrawn = 4;  // numbers that a block of the stream has

/// A thread takes the elements of one block of the stream at a time: draws their numbers, reads x once and
/// writes y once. kWidth is kDrawn, or 1 where packs cannot be read.
template <int kWidth, class T>
__global__ void __launch_bounds__(cuda::kElementThreads, cuda::kElementBlocks)
    dropout_forward_kernel(int64_t count, uint32_t threshold, float factor, Random random, const T* x, T* y) {
  for (int64_t block = cuda::grid_thread(); block * kDrawn < count; block += cuda::grid_threads()) {
    const std::array<uint32_t, kDrawn> numbers = random.block(static_cast<uint32_t>(block));
    const auto drop = [&](float value, int i) {
      return numbers[static_cast<size_t>(i)] >= threshold ? factor * value : 0.0f;
    };
    const int64_t begin = block * kDrawn;
    if (kWidth == kDrawn && begin + kDrawn <= count) {
      cuda::Floats<kDrawn> values = cuda::load<kDrawn>(x + begin);
#pragma unroll
      for (int i = 0; i < kDrawn; ++i) values[i] = drop(values[i], i);
      cuda::store<kDrawn>(y + begin, values);
    } else {
#pragma unroll
      for (int i = 0; i < kDrawn; ++i) {
        if (begin + i < count) y[begin + i] = cuda::from_float<T>(drop(cuda::to_float(x[begin + i]), i));
      }
    }
  }
}

}  // namespace

void dropout_forward(const Tensor& x, double p, const Random& random, Tensor& y) {
  const int64_t count = x.size();
  if (count == 0) return;
  check<DeviceError>(
      !fovea::cuda::is_recording(),
      "dropout: a graph that is recorded here would drop the same elements at every replay; train with "
      "TrainingSettings::capture = false");
  const auto threshold = static_cast<uint32_t>(p * 0x1p32);
  const auto factor = static_cast<float>(1.0 / (1.0 - p));
  visit_device_floating("dropout", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      launch("dropout", dropout_forward_kernel<(kWidth > 1 ? kDrawn : 1), T>,
             grid_for_elements(count, kDrawn), count, threshold, factor, random, x.data<T>(), y.data<T>());
    };
    visit_width<T>(/*count=*/0, run, x.data<T>(), y.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
