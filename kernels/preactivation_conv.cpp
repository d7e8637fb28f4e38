#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels {

void composed_preactivation_conv_forward(const Tensor& x, const PreactivationStage& stage,
                                         const Tensor& residual, Tensor& y, Tensor& activated, Tensor& mean,
                                         Tensor& variance) {
  activated = Tensor::empty_like(x);
  batch_norm_forward(x, stage.norm, /*has_relu=*/true, activated);
  conv_forward(activated, stage.weight, /*bias=*/{}, stage.stride, stage.padding, y);
  if (residual.defined()) accumulate(residual, y);
  if (mean.defined()) batch_norm_statistics(y, mean, variance);
}

void composed_preactivation_conv_backward(const Tensor& dy, const NextNorm& next,
                                          const SavedPreactivation& saved, Tensor& da,
                                          PreactivationGradients& gradients) {
  const auto& [norm, weight, stride, padding] = saved.stage;
  Tensor gradient = dy;
  if (next.y.defined()) {
    gradient = Tensor::empty_like(dy);
    batch_norm_backward_input(dy, next.y, next.norm, next.dweight, next.dbias, /*has_relu=*/true,
                              /*other=*/{}, gradient);
  }
  Tensor a = saved.activated;
  if (!a.defined()) {
    a = da;  // which holds it until its own turn comes
    batch_norm_forward(saved.x, norm.without_running(), /*has_relu=*/true, a);
  }
  conv_backward_weight(a, gradient, stride, padding, gradients.weight);
  conv_backward_input(gradient, weight, stride, padding, da);
  batch_norm_backward_reduce(da, saved.x, norm, /*has_relu=*/true, gradients.norm_weight,
                             gradients.norm_bias);
}

void composed_preactivation_conv_backward_input(const Tensor& dy, const NextNorm& next,
                                                const SavedPreactivation& saved, const Tensor& other,
                                                const Tensor& earlier, Tensor& dx,
                                                PreactivationGradients& gradients) {
  preactivation_conv_backward(dy, next, saved, /*da=*/dx, gradients);
  preactivation_input_gradient(saved, gradients.norm_weight, gradients.norm_bias, other, earlier, dx);
}

void preactivation_input_gradient(const SavedPreactivation& saved, const Tensor& dweight, const Tensor& dbias,
                                  const Tensor& other, const Tensor& earlier, Tensor& dx) {
  batch_norm_backward_input(dx, saved.x, saved.stage.norm, dweight, dbias, /*has_relu=*/true,
                            other.defined() ? other : earlier, dx);
  if (other.defined() && earlier.defined()) accumulate(earlier, dx);
}

void composed_preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain,
                                          const Tensor& residual, Tensor& y) {
  Tensor from = x, no_mean, no_variance;
  for (size_t i = 0; i < chain.stages.size(); ++i) {
    const PreactivationStage& stage = chain.stages[i];
    const bool is_last = i + 1 == chain.stages.size();
    Tensor to =
        is_last ? y
                : Tensor::empty(conv_shape(from.shape(), stage.weight.shape(), stage.stride, stage.padding),
                                x.dtype(), x.device());
    Tensor activated;
    preactivation_conv_forward(from, stage, is_last ? residual : Tensor(), to, activated, no_mean,
                               no_variance);
    from = to;
  }
}

}  // namespace fovea::kernels
