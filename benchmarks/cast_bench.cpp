#include "fovea/kernels/cast.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void run(benchmark::State& state, Dtype from, Dtype to) {
  const Tensor x = random_tensor(image_shape(state), 1, 1.0f, from);
  Tensor y = zeros(x.shape(), to);
  measure(state, x.bytes() + y.bytes(), [&] { kernels::cast_forward(x, y); });
}

void cast_to_half(benchmark::State& state) {
  run(state, Dtype::f32, half_dtype());
}
FOVEA_BENCH(cast_to_half, network_shapes);

void cast_to_f32(benchmark::State& state) {
  run(state, half_dtype(), Dtype::f32);
}
FOVEA_BENCH(cast_to_f32, network_shapes);

}  // namespace
}  // namespace fovea::bench
