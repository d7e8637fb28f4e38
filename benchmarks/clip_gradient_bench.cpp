#include "fovea/kernels/clip_gradient.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void arenas(Benchmark* benchmark) {  // of attention92 and attention92-wide
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond);
}

// With what the scale of the gradients then takes.
void square_sums(benchmark::State& state) {
  const Tensor x = random_tensor({state.range(0)}, 1, 1.0f, half_dtype()), none;
  Tensor sums = zeros({kernels::kSquareSums}, Dtype::f32), scale = zeros({}, Dtype::f32);
  measure(state, x.bytes(), [&] {
    sums.fill_with_zeros();
    kernels::square_sums(x, sums);
    kernels::clip_scale(sums, none, /*most=*/1, scale);
  });
}
FOVEA_BENCH(square_sums, arenas);

}  // namespace
}  // namespace fovea::bench
