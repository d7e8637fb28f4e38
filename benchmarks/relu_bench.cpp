#include "fovea/kernels/relu.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void relu_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  measure(state, 2 * x.bytes(), [&] { kernels::relu_forward(x, y); });
}
FOVEA_BENCH(relu_forward, network_shapes);

void relu_backward(benchmark::State& state) {
  const Tensor dy = random_tensor(image_shape(state), 1), y = random_tensor(image_shape(state), 2);
  Tensor dx = Tensor::zeros_like(dy);
  measure(state, 3 * dy.bytes(), [&] { kernels::relu_backward(dy, y, dx); });
}
FOVEA_BENCH(relu_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
