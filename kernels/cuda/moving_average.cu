#include "fovea/kernels/moving_average.h"

#include "fovea/kernels/cuda/elements.h"

namespace fovea::kernels::cuda {
namespace {

/// A thread takes packs of neighbouring elements; reads x and the average once and writes the average once.
template <int kWidth>
__global__ void __launch_bounds__(cuda::kElementThreads, cuda::kElementBlocks)
    moving_average_kernel(int64_t count, const float* x, const int64_t* steps, const int64_t* non_finite,
                          float decay, float* average) {
  if (*non_finite != 0) return;
  const float done = static_cast<float>(*steps);
  const float weight = 1 - fminf(decay, (1 + done) / (10 + done));
  const auto move = [&]<int kPack>(int64_t begin) {
    const auto moved = [&](float from, float to) { return from + weight * (to - from); };
    return cuda::map_pack<kPack>(moved, cuda::load<kPack>(average + begin), cuda::load<kPack>(x + begin));
  };
  const auto put = [&]<int kPack>(int64_t begin, const cuda::Floats<kPack>& result) {
    cuda::store<kPack>(average + begin, result);
  };
  cuda::for_each_pack<kWidth>(count, move, put);
}

}  // namespace

void moving_average(const Tensor& x, const Tensor& steps, const Tensor& non_finite, double decay,
                    Tensor& average) {
  check(x.dtype() == Dtype::f32 && average.dtype() == Dtype::f32, "moving_average: x is ", x,
        " and the average ", average, ", wanted f32 both on a CUDA device");
  if (x.size() == 0) return;
  const auto run = [&]<int kWidth>() {
    launch("moving_average", moving_average_kernel<kWidth>, grid_for_elements(x.size(), kWidth), x.size(),
           x.data<float>(), steps.data<int64_t>(), non_finite.data<int64_t>(), static_cast<float>(decay),
           average.data<float>());
  };
  visit_width<float>(/*count=*/0, run, x.data<float>(), average.data<float>());
}

}  // namespace fovea::kernels::cuda
