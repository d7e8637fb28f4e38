#include "fovea/kernels/join_moments.h"

#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

/// A thread takes a channel, neighbours neighbouring ones; the parts, a few kilobytes, are read twice.
__global__ void __launch_bounds__(256)
    join_moments_kernel(int64_t R, int64_t C, const float* parts, float* mean, float* variance) {
  const float share = 1.0f / static_cast<float>(R);
  for (int64_t c = grid_thread(); c < C; c += grid_threads()) {
    float average = 0, spread = 0;
    for (int64_t r = 0; r < R; ++r) average += share * parts[r * 2 * C + c];
    for (int64_t r = 0; r < R; ++r) {
      const float delta = parts[r * 2 * C + c] - average;
      spread += share * (parts[r * 2 * C + C + c] + delta * delta);
    }
    mean[c] = average;
    variance[c] = spread;
  }
}

}  // namespace

void join_moments(const Tensor& parts, Tensor& mean, Tensor& variance) {
  check(parts.dtype() == Dtype::f32, "join_moments: parts is ", parts, ", wanted f32 on a CUDA device");
  const int64_t R = parts.shape(0), C = parts.shape(2);
  launch("join_moments", join_moments_kernel, grid_for(C), R, C, parts.data<float>(), mean.data<float>(),
         variance.data<float>());
}

}  // namespace fovea::kernels::cuda
