#include "fovea/kernels/attention_merge.h"

#include "bench.h"

namespace fovea::bench {
namespace {

using Forward = kernels::Kernel<void(const Tensor&, const Tensor&, Tensor&)>;
using Backward = kernels::Kernel<void(const Tensor&, const Tensor&, const Tensor&, Tensor&, Tensor&)>;

void run(benchmark::State& state, const Forward& kernel) {
  const Tensor m = random_tensor(image_shape(state), 1), t = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(m);
  measure(state, 3 * y.bytes(), [&] { kernel(m, t, y); });
}

void run(benchmark::State& state, const Backward& kernel) {
  const Tensor m = random_tensor(image_shape(state), 1), t = random_tensor(image_shape(state), 2);
  const Tensor dy = random_tensor(image_shape(state), 3);
  Tensor dm = Tensor::zeros_like(m), dt = Tensor::zeros_like(m);
  measure(state, 5 * m.bytes(), [&] { kernel(dy, m, t, dm, dt); });
}

void attention_merge_forward(benchmark::State& state) {
  run(state, kernels::attention_merge_forward);
}
FOVEA_BENCH(attention_merge_forward, network_shapes);

void attention_merge_backward(benchmark::State& state) {
  run(state, kernels::attention_merge_backward);
}
FOVEA_BENCH(attention_merge_backward, network_shapes);

void attention_merge_naive_forward(benchmark::State& state) {
  run(state, kernels::attention_merge_naive_forward);
}
FOVEA_BENCH(attention_merge_naive_forward, network_shapes);

void attention_merge_naive_backward(benchmark::State& state) {
  run(state, kernels::attention_merge_naive_backward);
}
FOVEA_BENCH(attention_merge_naive_backward, network_shapes);

}  // namespace
}  // namespace fovea::bench
