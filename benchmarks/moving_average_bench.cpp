#include "fovea/kernels/moving_average.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void arenas(Benchmark* benchmark) {  // of attention92 and attention92-wide
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond);
}

void moving_average(benchmark::State& state) {
  const Tensor x = random_f32({state.range(0)}, 1), steps = zeros({}, Dtype::i64),
               none = zeros({}, Dtype::i64);
  Tensor average = random_f32({state.range(0)}, 2);
  measure(state, 3 * x.bytes(), [&] { kernels::moving_average(x, steps, none, 0.999, average); });
}
FOVEA_BENCH(moving_average, arenas);

}  // namespace
}  // namespace fovea::bench
