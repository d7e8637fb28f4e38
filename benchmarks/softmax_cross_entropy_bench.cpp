#include "fovea/kernels/softmax_cross_entropy.h"

#include "bench.h"
#include "random_labels.h"

namespace fovea::bench {
namespace {

void logits(Benchmark* benchmark) {
  benchmark->ArgNames({"N", "C"})->Args({128, 10})->Args({128, 1000})->Unit(benchmark::kMicrosecond);
}

/// Logits [N, C], a label or a distribution for each row, and the results of the forward pass.
struct Tensors {
  explicit Tensors(const benchmark::State& state)
      : logits(random_tensor({state.range(0), state.range(1)}, 1)),
        targets(random_tensor(logits.shape(), 2)),
        dlogits(Tensor::zeros_like(logits)),
        labels(random_labels(state.range(0), state.range(1), settings().device)),
        probabilities(zeros(logits.shape(), Dtype::f32)),
        loss(zeros({}, Dtype::f32)) {}

  size_t bytes() const { return logits.bytes() + probabilities.bytes(); }

  Tensor logits, targets, dlogits, labels, probabilities, loss;
};

void softmax_cross_entropy_forward(benchmark::State& state) {
  Tensors t(state);
  measure(state, t.bytes(), [&] {
    kernels::softmax_cross_entropy_forward(t.logits, t.labels, /*smoothing=*/0.1, t.loss, t.probabilities);
  });
}
FOVEA_BENCH(softmax_cross_entropy_forward, logits);

void softmax_cross_entropy_backward(benchmark::State& state) {
  Tensors t(state);
  kernels::softmax_cross_entropy_forward(t.logits, t.labels, /*smoothing=*/0.1, t.loss, t.probabilities);
  measure(state, t.bytes(), [&] {
    kernels::softmax_cross_entropy_backward(t.loss, t.probabilities, t.labels, /*smoothing=*/0.1, t.dlogits);
  });
}
FOVEA_BENCH(softmax_cross_entropy_backward, logits);

void softmax_cross_entropy_soft_forward(benchmark::State& state) {
  Tensors t(state);
  measure(state, t.bytes() + t.targets.bytes(),
          [&] { kernels::softmax_cross_entropy_soft_forward(t.logits, t.targets, t.loss, t.probabilities); });
}
FOVEA_BENCH(softmax_cross_entropy_soft_forward, logits);

void softmax_cross_entropy_soft_backward(benchmark::State& state) {
  Tensors t(state);
  kernels::softmax_cross_entropy_soft_forward(t.logits, t.targets, t.loss, t.probabilities);
  measure(state, t.bytes() + t.targets.bytes(), [&] {
    kernels::softmax_cross_entropy_soft_backward(t.loss, t.probabilities, t.targets, t.dlogits);
  });
}
FOVEA_BENCH(softmax_cross_entropy_soft_backward, logits);

}  // namespace
}  // namespace fovea::bench
