#include "fovea/kernels/spatial_norm.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void spatial_norm_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  Tensor mean = zeros({x.shape(0), x.shape(3)}, Dtype::f32), rstd = Tensor::zeros_like(mean);
  measure(state, 2 * x.bytes(), [&] { kernels::spatial_norm_forward(x, y, mean, rstd); });
}
FOVEA_BENCH(spatial_norm_forward, network_shapes);

void spatial_norm_backward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1), dy = random_tensor(image_shape(state), 2);
  Tensor dx = Tensor::zeros_like(x);
  Tensor mean = zeros({x.shape(0), x.shape(3)}, Dtype::f32), rstd = Tensor::zeros_like(mean);
  kernels::spatial_norm_forward(x, dx, mean, rstd);
  measure(state, 3 * x.bytes(), [&] { kernels::spatial_norm_backward(dy, x, mean, rstd, dx); });
}
FOVEA_BENCH(spatial_norm_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
