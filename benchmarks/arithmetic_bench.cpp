#include "fovea/kernels/arithmetic.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void add_forward(benchmark::State& state) {
  const Tensor a = random_tensor(image_shape(state), 1), b = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(a);
  measure(state, {3 * y.bytes()}, [&] { kernels::add_forward(a, b, y); });
}
FOVEA_BENCH(add_forward);

void accumulate(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1, /*deviation=*/1e-6f);
  Tensor y = random_tensor(image_shape(state), 2);
  measure(state, {3 * y.bytes()}, [&] { kernels::accumulate(x, y); });
}
FOVEA_BENCH(accumulate);

}  // namespace
}  // namespace fovea::bench
