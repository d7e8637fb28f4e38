#include "fovea/kernels/adamw.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void arenas(Benchmark* benchmark) {  // of attention92 and attention92-wide
  benchmark->ArgName("parameters")->Arg(1841242)->Arg(12170730)->Unit(benchmark::kMicrosecond);
}

struct Tensors {
  explicit Tensors(const benchmark::State& state)
      : mean(random_f32({state.range(0)}, 2)),
        square(Tensor::full({state.range(0)}, 1.0, Dtype::f32, settings().device)),
        weight(random_f32({state.range(0)}, 3)),
        learning_rate(Tensor::full({}, 1e-6, Dtype::f32, settings().device)),
        scale(Tensor::full({}, 0.5, Dtype::f32, settings().device)),
        step(Tensor::full({}, 1, Dtype::i64, settings().device)),
        non_finite(zeros({}, Dtype::i64)) {}

  Tensor mean, square, weight, learning_rate, scale, step, non_finite;
};

void adamw_step(benchmark::State& state) {
  Tensors t(state);
  const Tensor gradient = random_f32({state.range(0)}, 1);
  Tensor copy;
  measure(state, 7 * t.weight.bytes(), [&] {
    kernels::adamw_step(gradient, t.learning_rate, t.step, /*gradient_scale=*/{}, /*non_finite=*/{}, {},
                        t.mean, t.square, t.weight, copy);
  });
}
FOVEA_BENCH(adamw_step, arenas);

// With a scaled gradient and a copy of the weights of 16 bits, as in mixed precision.
void adamw_step_mixed(benchmark::State& state) {
  Tensors t(state);
  const Tensor gradient = random_tensor({state.range(0)}, 1, 1.0f, half_dtype());
  Tensor copy = Tensor::zeros_like(gradient);
  measure(state, 6 * t.weight.bytes() + 2 * copy.bytes(), [&] {
    kernels::adamw_step(gradient, t.learning_rate, t.step, t.scale, t.non_finite, {}, t.mean, t.square,
                        t.weight, copy);
  });
}
FOVEA_BENCH(adamw_step_mixed, arenas);

}  // namespace
}  // namespace fovea::bench
