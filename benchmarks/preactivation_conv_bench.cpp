#include "fovea/kernels/preactivation_conv.h"

#include "bench.h"

namespace fovea::bench {
namespace {

/// The three stages of the residual units of attention92 and attention92-wide: N, H = W, channels. On a
/// device with a batch of 512, too, for which the tensors are no longer small.
void units(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "H", "C"})->Unit(benchmark::kMicrosecond);
  for (const int64_t wide : {1, 2}) {  // attention92, attention92-wide
    for (const int64_t H : {32, 16, 8}) benchmark->Args({64 / wide, H, wide * 64 * 32 / H});
  }
  if (settings().device.is_cpu()) return;
  for (const int64_t wide : {1, 2}) {
    for (const int64_t H : {32, 16, 8}) benchmark->Args({512, H, wide * 64 * 32 / H});
  }
}

kernels::NormConstants random_norm(int64_t C) {
  const Tensor variance = Tensor::full({C}, 1.0, Dtype::f32, settings().device);
  return {random_f32({C}, 1), variance, random_f32({C}, 2), random_f32({C}, 3)};
}

/// The last stage: 1x1 from a quarter of the channels, plus the residual.
struct Expand {
  explicit Expand(const benchmark::State& state)
      : N(state.range(0)),
        H(state.range(1)),
        C(state.range(2)),
        x(random_tensor({N, H, H, C / 4}, 1)),
        y(random_tensor({N, H, H, C}, 2)),
        residual(random_tensor({N, H, H, C}, 3)),
        weight(random_tensor({C, 1, 1, C / 4}, 4)),
        norm(random_norm(C / 4)),
        mean(zeros({C}, Dtype::f32)),
        variance(zeros({C}, Dtype::f32)) {}

  int64_t N, H, C;
  Tensor x, y, residual, weight;
  kernels::NormConstants norm;
  Tensor mean, variance;
};

/// `kernel`: the kernel itself, or what it replaces: the passes that it consists of, one after the other.
template <class Kernel>
void forward(benchmark::State& state, const Kernel& kernel) {
  Expand t(state);
  measure(state, t.x.bytes() + t.residual.bytes() + t.y.bytes(), [&] {
    Tensor activated;
    kernel(t.x, {t.norm, t.weight, 1, 0}, t.residual, t.y, activated, t.mean, t.variance);
  });
}
void preactivation_conv_forward(benchmark::State& state) {
  forward(state, kernels::preactivation_conv_forward);
}
FOVEA_BENCH(preactivation_conv_forward, units);
void composed_preactivation_conv_forward(benchmark::State& state) {
  forward(state, kernels::composed_preactivation_conv_forward);
}
FOVEA_BENCH(composed_preactivation_conv_forward, units);

template <class Kernel>
void backward(benchmark::State& state, const Kernel& kernel) {
  Expand t(state);
  Tensor da = zeros(t.x.shape());
  kernels::PreactivationGradients gradients{zeros(t.weight.shape()), zeros({t.C / 4}, Dtype::f32),
                                            zeros({t.C / 4}, Dtype::f32)};
  measure(state, t.y.bytes() + 2 * t.x.bytes(), [&] {
    kernel(t.y, {}, {{t.norm, t.weight, 1, 0}, t.x, {}}, da, gradients);
  });
}
void preactivation_conv_backward(benchmark::State& state) {
  backward(state, kernels::preactivation_conv_backward);
}
FOVEA_BENCH(preactivation_conv_backward, units);
void composed_preactivation_conv_backward(benchmark::State& state) {
  backward(state, kernels::composed_preactivation_conv_backward);
}
FOVEA_BENCH(composed_preactivation_conv_backward, units);

/// Through a unit's first convolution to its input, from behind the norm of the second: x and what is added
/// are four times as large as what dy and y are.
struct Reduce : Expand {
  explicit Reduce(benchmark::State& state)
      : Expand(state),
        reduce(random_tensor({C / 4, 1, 1, C}, 5)),
        of_input(random_norm(C)),
        dx(zeros(y.shape())),
        gradients{zeros(reduce.shape()), zeros({C}, Dtype::f32), zeros({C}, Dtype::f32)} {}

  kernels::NextNorm next() const { return {x, norm, norm.weight, norm.bias}; }

  Tensor reduce;
  kernels::NormConstants of_input;
  Tensor dx;
  kernels::PreactivationGradients gradients;
};
template <class Kernel>
void backward_input(benchmark::State& state, const Kernel& kernel) {
  Reduce t(state);
  measure(state, 3 * t.y.bytes() + 2 * t.x.bytes(), [&] {
    kernel(t.x, t.next(), {{t.of_input, t.reduce, 1, 0}, t.y, {}}, t.residual, {}, t.dx, t.gradients);
  });
}
void preactivation_conv_backward_input(benchmark::State& state) {
  backward_input(state, kernels::preactivation_conv_backward_input);
}
FOVEA_BENCH(preactivation_conv_backward_input, units);
void composed_preactivation_conv_backward_input(benchmark::State& state) {
  backward_input(state, kernels::composed_preactivation_conv_backward_input);
}
FOVEA_BENCH(composed_preactivation_conv_backward_input, units);

void preactivation_chain_forward(benchmark::State& state) {
  Expand t(state);
  const Tensor reduce = random_tensor({t.C / 4, 1, 1, t.C}, 5),
               conv = random_tensor({t.C / 4, 3, 3, t.C / 4}, 6);
  const kernels::PreactivationStages unit{
      {{random_norm(t.C), reduce, 1, 0}, {t.norm, conv, 1, 1}, {t.norm, t.weight, 1, 0}}};
  measure(state, 2 * t.y.bytes(),
          [&] { kernels::preactivation_chain_forward(t.residual, unit, t.residual, t.y); });
}
FOVEA_BENCH(preactivation_chain_forward, units);

}  // namespace
}  // namespace fovea::bench
