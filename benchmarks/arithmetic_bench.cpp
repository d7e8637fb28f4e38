#include "fovea/kernels/arithmetic.h"

#include "bench.h"

namespace fovea::bench {
namespace {

using Binary = kernels::Kernel<void(const Tensor&, const Tensor&, Tensor&)>;

void run(benchmark::State& state, const Binary& kernel) {
  const Tensor a = random_tensor(image_shape(state), 1), b = random_tensor(image_shape(state), 2);
  Tensor y = Tensor::zeros_like(a);
  measure(state, 3 * y.bytes(), [&] { kernel(a, b, y); });
}

void add_forward(benchmark::State& state) {
  run(state, kernels::add_forward);
}
FOVEA_BENCH(add_forward, network_shapes);

void sub_forward(benchmark::State& state) {
  run(state, kernels::sub_forward);
}
FOVEA_BENCH(sub_forward, network_shapes);

void mul_forward(benchmark::State& state) {
  run(state, kernels::mul_forward);
}
FOVEA_BENCH(mul_forward, network_shapes);

void scale_forward(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1);
  Tensor y = Tensor::zeros_like(x);
  measure(state, 2 * y.bytes(), [&] { kernels::scale_forward(x, /*factor=*/0.5, y); });
}
FOVEA_BENCH(scale_forward, network_shapes);

void accumulate(benchmark::State& state) {
  const Tensor x = random_tensor(image_shape(state), 1, /*deviation=*/1e-6f);
  Tensor y = random_tensor(image_shape(state), 2);
  measure(state, 3 * y.bytes(), [&] { kernels::accumulate(x, y); });
}
FOVEA_BENCH(accumulate, network_shapes);

}  // namespace
}  // namespace fovea::bench
