#include "fovea/kernels/count_non_finite.h"

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::grid_thread, cuda::grid_threads;

/// NaN and infinity less themselves are NaN.
__device__ bool is_finite(float x) {
  return x - x == 0.0f;
}

/// Counts what is not finite in one pass: a thread takes a pack of neighbouring elements at a time, and adds
/// its count at the end if there is something to add, which is rare; whole numbers, in any order.
template <int kWidth, class T>
__global__ void count_non_finite_kernel(int64_t count, const T* x, unsigned long long* total) {
  const int64_t packs = count / kWidth;
  unsigned found = 0;
  for (int64_t pack = grid_thread(); pack < packs; pack += grid_threads()) {
    const cuda::Floats<kWidth> values = cuda::load<kWidth>(x + pack * kWidth);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) found += is_finite(values[i]) ? 0 : 1;
  }
  const int64_t i = packs * kWidth + grid_thread();
  if (i < count) found += is_finite(cuda::to_float(x[i])) ? 0 : 1;
  if (found > 0) atomicAdd(total, static_cast<unsigned long long>(found));
}

}  // namespace

void count_non_finite(const Tensor& x, Tensor& count) {
  // CUDA adds atomically to unsigned long long, which has the size of the count.
  auto* const total = reinterpret_cast<unsigned long long*>(count.data<int64_t>());
  visit_device_floating("count_non_finite", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      launch("count_non_finite", count_non_finite_kernel<kWidth, T>,
             grid_for((x.size() + kWidth - 1) / kWidth), x.size(), x.data<T>(), total);
    };
    visit_width<T>(/*count=*/0, run, x.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
