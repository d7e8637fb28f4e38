#include "fovea/kernels/dropout.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void dropout_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  const Random random(/*seed=*/1, Purpose::dropout);
  measure(state, 2 * x.bytes(), [&] { kernels::dropout_forward(x, /*p=*/0.3, random, y); });
}
FOVEA_BENCH(dropout_forward, network_shapes);

}  // namespace
}  // namespace fovea::bench
