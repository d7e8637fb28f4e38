#include "fovea/kernels/sgd.h"

#include "bench.h"

namespace fovea::bench {
namespace {

// The arenas of attention92 and attention92-wide.
void sgd_step(benchmark::State& state) {
  const Tensor gradient = random_tensor({state.range(0)}, 1), learning_rate = Tensor::full({}, 1e-6);
  Tensor velocity = random_tensor({state.range(0)}, 2), weight = random_tensor({state.range(0)}, 3);
  measure(state, {5 * weight.bytes()},
          [&] { kernels::sgd_step(gradient, learning_rate, {}, velocity, weight); });
}
BENCHMARK(sgd_step)
    ->ArgName("parameters")
    ->Arg(1841242)
    ->Arg(12170730)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace fovea::bench
