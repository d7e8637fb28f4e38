#include "fovea/kernels/softmax_cross_entropy.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

void check_logits(const char* operation, const Tensor& logits) {
  check(logits.rank() == 2 && logits.size() > 0, operation, ": logits are ", logits,
        ", wanted [N, C] with at least one row and one class");
}

/// The loss, a sum, is kept as sums are: f32 for 16-bit logits.
Tensor empty_loss(const Tensor& logits) {
  return Tensor::empty({}, accumulator_of(logits.dtype()), logits.device());
}

Tensor empty_probabilities(const Tensor& logits) {
  return Tensor::empty(logits.shape(), accumulator_of(logits.dtype()), logits.device());
}

}  // namespace

Variable F::softmax_cross_entropy(const Variable& logits, const Tensor& labels, double smoothing) {
  check_defined("softmax_cross_entropy", "logits", logits);
  const Tensor& x = logits.value();
  check_logits("softmax_cross_entropy", x);
  check(labels.shape() == Shape{x.shape(0)} && labels.dtype() == Dtype::i32,
        "softmax_cross_entropy: labels are ", labels, ", wanted i32[", x.shape(0),
        "], one for each row of the logits, ", x);
  check(smoothing >= 0 && smoothing <= 1, "softmax_cross_entropy: smoothing is ", smoothing,
        ", wanted 0 to 1");
  Tensor loss = empty_loss(x), probabilities = empty_probabilities(x);
  kernels::softmax_cross_entropy_forward(x, labels, smoothing, loss, probabilities);
  return record("softmax_cross_entropy", loss, {logits},
                [=, dtype = x.dtype()](const Tensor& dloss) -> std::vector<Tensor> {
                  Tensor dlogits = Tensor::empty(probabilities.shape(), dtype, dloss.device());
                  kernels::softmax_cross_entropy_backward(dloss, probabilities, labels, smoothing, dlogits);
                  return {dlogits};
                });
}

Variable F::softmax_cross_entropy_soft(const Variable& logits, const Tensor& targets) {
  check_defined("softmax_cross_entropy_soft", "logits", logits);
  const Tensor& x = logits.value();
  check_logits("softmax_cross_entropy_soft", x);
  check(targets.shape() == x.shape() && targets.dtype() == x.dtype(),
        "softmax_cross_entropy_soft: targets are ", targets, ", wanted the shape and dtype of the logits, ",
        x);
  Tensor loss = empty_loss(x), probabilities = empty_probabilities(x);
  kernels::softmax_cross_entropy_soft_forward(x, targets, loss, probabilities);
  return record("softmax_cross_entropy_soft", loss, {logits},
                [=, dtype = x.dtype()](const Tensor& dloss) -> std::vector<Tensor> {
                  Tensor dlogits = Tensor::empty(probabilities.shape(), dtype, dloss.device());
                  kernels::softmax_cross_entropy_soft_backward(dloss, probabilities, targets, dlogits);
                  return {dlogits};
                });
}

}  // namespace fovea
