#include "fovea/kernels/max_pool.h"

#include "bench.h"

namespace fovea::bench {
namespace {

constexpr kernels::Window kWindow{/*size=*/3, /*stride=*/2, /*padding=*/1};

Shape pooled(const Shape& x) {
  return {x[0], kWindow.outputs(x[1]), kWindow.outputs(x[2]), x[3]};
}

void max_pool_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = zeros(pooled(x.shape())), winner = zeros(y.shape(), Dtype::u8);
  measure(state, x.bytes() + y.bytes() + winner.bytes(),
          [&] { kernels::max_pool_forward(x, kWindow, y, winner); });
}
FOVEA_BENCH(max_pool_forward, network_shapes);

void max_pool_backward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = zeros(pooled(x.shape())), winner = zeros(y.shape(), Dtype::u8);
  kernels::max_pool_forward(x, kWindow, y, winner);
  const Tensor dy = random_tensor(y.shape(), 2);
  Tensor dx = Tensor::zeros_like(x);
  measure(state, dy.bytes() + winner.bytes() + dx.bytes(),
          [&] { kernels::max_pool_backward(dy, winner, kWindow, dx); });
}
FOVEA_BENCH(max_pool_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
