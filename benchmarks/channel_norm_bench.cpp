#include "fovea/kernels/channel_norm.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void channel_norm_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  measure(state, 2 * x.bytes(), [&] { kernels::channel_norm_forward(x, y); });
}
FOVEA_BENCH(channel_norm_forward, network_shapes);

void channel_norm_backward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1), dy = random_tensor(image_shape(state), 2);
  Tensor dx = Tensor::zeros_like(x);
  measure(state, 3 * x.bytes(), [&] { kernels::channel_norm_backward(dy, x, dx); });
}
FOVEA_BENCH(channel_norm_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
