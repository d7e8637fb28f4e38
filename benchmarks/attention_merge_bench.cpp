#include "fovea/kernels/attention_merge.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void attention_merge_forward(benchmark::State& state) {
  const Tensor m = random_tensor(image_shape(state), 1), t = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(m);
  measure(state, {3 * y.bytes()}, [&] { kernels::attention_merge_forward(m, t, y); });
}
FOVEA_BENCH(attention_merge_forward);

void attention_merge_backward(benchmark::State& state) {
  const Tensor m = random_tensor(image_shape(state), 1), t = random_tensor(image_shape(state), 2);
  const Tensor dy = random_tensor(image_shape(state), 3);
  Tensor dm = Tensor::zeros_like(m), dt = Tensor::zeros_like(m);
  measure(state, {5 * m.bytes()}, [&] { kernels::attention_merge_backward(dy, m, t, dm, dt); });
}
FOVEA_BENCH(attention_merge_backward);

}  // namespace
}  // namespace fovea::bench
