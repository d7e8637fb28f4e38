#include "fovea/kernels/concat.h"

#include "bench.h"

namespace fovea::bench {
namespace {

// The arguments are one of two parts; y has twice its channels.
void concat_forward(benchmark::State& state) {
  const int64_t C = state.range(3), pixels = image_shape(state).size() / C;
  const Tensor x = random_tensor({pixels, C}, 1);
  Tensor y = zeros({pixels, 2 * C});
  measure(state, 2 * x.bytes(), [&] { kernels::concat_forward(x, /*offset=*/C, y); });
}
FOVEA_BENCH(concat_forward, network_shapes);

void concat_backward(benchmark::State& state) {
  const int64_t C = state.range(3), pixels = image_shape(state).size() / C;
  const Tensor dy = random_tensor({pixels, 2 * C}, 1);
  Tensor dx = zeros({pixels, C});
  measure(state, 2 * dx.bytes(), [&] { kernels::concat_backward(dy, /*offset=*/C, dx); });
}
FOVEA_BENCH(concat_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
