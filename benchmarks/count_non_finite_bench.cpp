#include "fovea/kernels/count_non_finite.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void arenas(Benchmark* benchmark) {  // of attention92 and attention92-wide
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond);
}

void count_non_finite(benchmark::State& state) {
  const Tensor x = random_tensor({state.range(0)}, 1);
  Tensor count = zeros({}, Dtype::i64);
  measure(state, x.bytes(), [&] { kernels::count_non_finite(x, count); });
}
FOVEA_BENCH(count_non_finite, arenas);

}  // namespace
}  // namespace fovea::bench
