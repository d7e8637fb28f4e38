#include "fovea/kernels/sgd.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void arenas(Benchmark* benchmark) {  // of attention92 and attention92-wide
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond);
}

Tensor number(double value) {
  return Tensor::full({}, value, Dtype::f32, settings().device);
}

void sgd_step(benchmark::State& state) {
  const Tensor gradient = random_f32({state.range(0)}, 1), learning_rate = number(1e-6);
  Tensor velocity = random_f32({state.range(0)}, 2), weight = random_f32({state.range(0)}, 3), copy;
  measure(state, 5 * weight.bytes(), [&] {
    kernels::sgd_step(gradient, learning_rate, /*gradient_scale=*/{}, /*non_finite=*/{}, {}, velocity, weight,
                      copy);
  });
}
FOVEA_BENCH(sgd_step, arenas);

// With a scaled gradient and a copy of the weights of 16 bits, as in mixed precision.
void sgd_step_mixed(benchmark::State& state) {
  const Tensor gradient = random_tensor({state.range(0)}, 1, 1.0f, half_dtype());
  const Tensor learning_rate = number(1e-6), scale = number(0.5), non_finite = zeros({}, Dtype::i64);
  Tensor velocity = random_f32({state.range(0)}, 2), weight = random_f32({state.range(0)}, 3);
  Tensor copy = Tensor::zeros_like(gradient);
  measure(state, 4 * weight.bytes() + 2 * copy.bytes(),
          [&] { kernels::sgd_step(gradient, learning_rate, scale, non_finite, {}, velocity, weight, copy); });
}
FOVEA_BENCH(sgd_step_mixed, arenas);

}  // namespace
}  // namespace fovea::bench
