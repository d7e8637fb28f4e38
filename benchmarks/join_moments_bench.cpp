#include "fovea/kernels/join_moments.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// Ranks and channels: of the widest norms of attention92 and attention92-wide.
void parts(Benchmark* benchmark) {
  benchmark->ArgNames({"R", "C"})
      ->Args({2, 256})
      ->Args({8, 256})
      ->Args({8, 1024})
      ->Unit(benchmark::kMicrosecond);
}

void join_moments(benchmark::State& state) {
  const int64_t C = state.range(1);
  const Tensor x = zeros({state.range(0), 2, C}, settings().device.is_cpu() ? Dtype::f64 : Dtype::f32);
  Tensor mean = zeros({C}, Dtype::f32), variance = zeros({C}, Dtype::f32);
  measure(state, x.bytes() + 2 * mean.bytes(), [&] { kernels::join_moments(x, mean, variance); });
}
FOVEA_BENCH(join_moments, parts);

}  // namespace
}  // namespace fovea::bench
