#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/cuda/conv/choice.h"
#include "fovea/kernels/cuda/conv/fused_1x1.h"

namespace fovea::kernels::cuda {

void preactivation_conv_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                                Tensor& y, Tensor& activated, Tensor& mean, Tensor& variance) {
  if (is_fused_forward(x, stage, residual, y)) {
    return preactivation_pointwise_forward(x, stage, residual, y, mean, variance);
  }
  composed_preactivation_conv_forward(x, stage, residual, y, activated, mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved,
                                 Tensor& da, PreactivationGradients& gradients) {
  if (is_fused_backward(saved, next, {dy, next.y, da})) {
    Tensor nothing_kept;
    return preactivation_pointwise_backward(dy, next, saved, nothing_kept, da, gradients);
  }
  composed_preactivation_conv_backward(dy, next, saved, da, gradients);
}

void preactivation_conv_backward_input(const Tensor& dy, const NextNorm& next,
                                       const SavedPreactivation& saved, const Tensor& other,
                                       const Tensor& earlier, Tensor& dx, PreactivationGradients& gradients) {
  if (!is_fused_backward(saved, next, {dy, next.y, other, earlier, dx})) {
    return composed_preactivation_conv_backward_input(dy, next, saved, other, earlier, dx, gradients);
  }
  Tensor kept, no_da;
  if (next.y.defined()) kept = Tensor::empty_like(dy);
  preactivation_pointwise_backward(dy, next, saved, kept, no_da, gradients);
  preactivation_pointwise_input_gradient(next.y.defined() ? kept : dy, saved, gradients, other, earlier, dx);
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
  composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cuda
