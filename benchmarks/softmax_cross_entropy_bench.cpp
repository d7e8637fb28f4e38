#include "fovea/kernels/softmax_cross_entropy.h"

#include <vector>

#include "bench.h"

namespace fovea::bench {
namespace {

/// Logits [N, C] and a label for each row.
struct Tensors {
  explicit Tensors(const benchmark::State& state)
      : logits(random_tensor({state.range(0), state.range(1)}, 1)),
        labels(Tensor::zeros({state.range(0)}, Dtype::i32)),
        probabilities(Tensor::zeros_like(logits)),
        loss(Tensor::zeros({})) {
    Random random(1, Purpose::test);
    for (int64_t n = 0; n < labels.size(); ++n) {
      labels.data<int32_t>()[n] = static_cast<int32_t>(random.below(static_cast<uint32_t>(state.range(1))));
    }
  }

  Tensor logits, labels, probabilities, loss;
};

void softmax_cross_entropy_forward(benchmark::State& state) {
  Tensors t(state);
  measure(state, {2 * t.logits.bytes()}, [&] {
    kernels::softmax_cross_entropy_forward(t.logits, t.labels, /*smoothing=*/0.1, t.loss, t.probabilities);
  });
}
BENCHMARK(softmax_cross_entropy_forward)
    ->ArgNames({"N", "C"})
    ->Args({128, 10})
    ->Args({128, 1000})
    ->UseRealTime();

void softmax_cross_entropy_backward(benchmark::State& state) {
  Tensors t(state);
  kernels::softmax_cross_entropy_forward(t.logits, t.labels, /*smoothing=*/0.1, t.loss, t.probabilities);
  measure(state, {2 * t.logits.bytes()}, [&] {
    kernels::softmax_cross_entropy_backward(t.loss, t.probabilities, t.labels, /*smoothing=*/0.1, t.logits);
  });
}
BENCHMARK(softmax_cross_entropy_backward)
    ->ArgNames({"N", "C"})
    ->Args({128, 10})
    ->Args({128, 1000})
    ->UseRealTime();

}  // namespace
}  // namespace fovea::bench
