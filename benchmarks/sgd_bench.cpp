#include "fovea/kernels/sgd.h"

#include "bench.h"
#include "fovea/kernels/cast.h"

namespace fovea::bench {
namespace {

// The arenas of attention92 and attention92-wide.
void arenas(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void sgd_step(benchmark::State& state) {
  const Tensor gradient = random_tensor({state.range(0)}, 1), learning_rate = Tensor::full({}, 1e-6);
  Tensor velocity = random_tensor({state.range(0)}, 2), weight = random_tensor({state.range(0)}, 3), copy;
  measure(state, {5 * weight.bytes()}, [&] {
    kernels::sgd_step(gradient, learning_rate, /*gradient_scale=*/{}, /*non_finite=*/{}, {}, velocity, weight,
                      copy);
  });
}
BENCHMARK(sgd_step)->Apply(arenas);

// With a scaled gradient and a copy of the weights of 16 bits, as in mixed precision.
void sgd_step_mixed(benchmark::State& state) {
  Tensor gradient = Tensor::empty({state.range(0)}, Dtype::bf16), copy = Tensor::empty_like(gradient);
  kernels::cast_forward(random_tensor({state.range(0)}, 1), gradient);
  const Tensor learning_rate = Tensor::full({}, 1e-6), scale = Tensor::full({}, 0.5);
  const Tensor non_finite = Tensor::zeros({}, Dtype::i64);
  Tensor velocity = random_tensor({state.range(0)}, 2), weight = random_tensor({state.range(0)}, 3);
  measure(state, {4 * weight.bytes() + 2 * copy.bytes()},
          [&] { kernels::sgd_step(gradient, learning_rate, scale, non_finite, {}, velocity, weight, copy); });
}
BENCHMARK(sgd_step_mixed)->Apply(arenas);

}  // namespace
}  // namespace fovea::bench
