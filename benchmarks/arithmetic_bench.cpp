#include "fovea/kernels/arithmetic.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void add_forward(benchmark::State& state) {
  const Tensor a = random_tensor(image_shape(state), 1), b = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(a);
  for (auto _ : state) kernels::add_forward(a, b, y);
  count(state, 3 * y.bytes());
}
FOVEA_BENCH(add_forward);

void accumulate(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1, /*deviation=*/1e-6f);
  Tensor y = random_tensor(image_shape(state), 2);
  for (auto _ : state) kernels::accumulate(x, y);
  count(state, 3 * y.bytes());
}
FOVEA_BENCH(accumulate);

}  // namespace
}  // namespace fovea::bench
