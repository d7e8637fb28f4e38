#include "fovea/kernels/average_pool.h"

#include "bench.h"

namespace fovea::bench {
namespace {

constexpr kernels::Window kWindow{/*size=*/3, /*stride=*/2, /*padding=*/1};

Shape pooled(const Shape& x) {
  return {x[0], kWindow.outputs(x[1]), kWindow.outputs(x[2]), x[3]};
}

void average_pool_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = zeros(pooled(x.shape()));
  measure(state, x.bytes() + y.bytes(), [&] { kernels::average_pool_forward(x, kWindow, y); });
}
FOVEA_BENCH(average_pool_forward, network_shapes);

void average_pool_backward(benchmark::State& state) {
  const Tensor dy = random_tensor(pooled(image_shape(state)), 1);
  Tensor dx = zeros(image_shape(state));
  measure(state, dy.bytes() + dx.bytes(), [&] { kernels::average_pool_backward(dy, kWindow, dx); });
}
FOVEA_BENCH(average_pool_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
