#include "fovea/kernels/reduce.h"

#include "bench.h"

namespace fovea::bench {
namespace {

// [O, R, I] -> [O, I]: all of an image's pixels; and all of a tensor's numbers.
void reductions(Benchmark* benchmark) {
  benchmark->ArgNames({"O", "R", "I"})->Unit(benchmark::kMicrosecond);
  benchmark->Args({64, 1024, 64})->Args({64, 64, 256})->Args({1, 1 << 24, 1})->Args({1, 1 << 18, 64});
}

void reduce_forward(benchmark::State& state) {
  const int64_t O = state.range(0), R = state.range(1), I = state.range(2);
  const Tensor x = random_tensor({O, R, I}, 1);
  Tensor y = zeros({O, I});
  measure(state, x.bytes() + y.bytes(), [&] { kernels::reduce_forward(x, 1.0 / static_cast<double>(R), y); });
}
FOVEA_BENCH(reduce_forward, reductions);

void reduce_backward(benchmark::State& state) {
  const int64_t O = state.range(0), R = state.range(1), I = state.range(2);
  const Tensor dy = random_tensor({O, I}, 1);
  Tensor dx = zeros({O, R, I});
  measure(state, dx.bytes() + dy.bytes(),
          [&] { kernels::reduce_backward(dy, 1.0 / static_cast<double>(R), dx); });
}
FOVEA_BENCH(reduce_backward, reductions);

}  // namespace
}  // namespace fovea::bench
