#include "fovea/kernels/global_average.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void global_average_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = zeros({x.shape(0), x.shape(3)});
  measure(state, x.bytes() + y.bytes(), [&] { kernels::global_average_forward(x, y); });
}
FOVEA_BENCH(global_average_forward, network_shapes);

void global_average_backward(benchmark::State& state) {
  const Tensor dy = random_tensor({state.range(0), state.range(3)}, 1);
  Tensor dx = zeros(image_shape(state));
  measure(state, dx.bytes() + dy.bytes(), [&] { kernels::global_average_backward(dy, dx); });
}
FOVEA_BENCH(global_average_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
