#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// probabilities p = softmax(logits); loss = mean over the rows, added in an order that N and C decide, of
/// -sum of q * log p with q = (1 - smoothing) * onehot(label) + smoothing / C. A label outside [0, C) is an
/// Error on the CPU; on another device it makes the loss NaN, and the gradient of its row.
/// logits: [N, C], labels: i32 [N] -> loss: [], probabilities: [N, C], both f32 (f64 for f64 logits)
FOVEA_KERNEL(softmax_cross_entropy_forward, const Tensor& logits, const Tensor& labels, double smoothing,
             Tensor& loss, Tensor& probabilities);

/// dlogits = (p - q) * dloss / N.  labels: i32 [N] -> dlogits: [N, C]; the others as in the forward pass
FOVEA_KERNEL(softmax_cross_entropy_backward, const Tensor& dloss, const Tensor& probabilities,
             const Tensor& labels, double smoothing, Tensor& dlogits);

/// softmax_cross_entropy for q = the row of `targets`, which need not sum to 1.  targets: [N, C], dtype of
/// the logits
FOVEA_KERNEL(softmax_cross_entropy_soft_forward, const Tensor& logits, const Tensor& targets, Tensor& loss,
             Tensor& probabilities);

/// dlogits = (p * sum of q - q) * dloss / N.
FOVEA_KERNEL(softmax_cross_entropy_soft_backward, const Tensor& dloss, const Tensor& probabilities,
             const Tensor& targets, Tensor& dlogits);

}  // namespace fovea::kernels
#pragma GCC visibility pop
