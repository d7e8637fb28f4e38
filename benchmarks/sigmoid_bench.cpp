#include "fovea/kernels/sigmoid.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void sigmoid_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  measure(state, 2 * x.bytes(), [&] { kernels::sigmoid_forward(x, y); });
}
FOVEA_BENCH(sigmoid_forward, network_shapes);

void sigmoid_backward(benchmark::State& state) {
  const Tensor dy = random_tensor(image_shape(state), 1), y = random_tensor(image_shape(state), 2);
  Tensor dx = Tensor::zeros_like(dy);
  measure(state, 3 * dy.bytes(), [&] { kernels::sigmoid_backward(dy, y, dx); });
}
FOVEA_BENCH(sigmoid_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
