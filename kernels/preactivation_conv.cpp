#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/conv.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels {

void composed_preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                         int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                         Tensor& activated, Tensor& mean, Tensor& variance) {
  activated = Tensor::empty_like(x);
  batch_norm_forward(x, norm, /*has_relu=*/true, activated);
  conv_forward(activated, weight, /*bias=*/{}, stride, padding, y);
  if (residual.defined()) accumulate(residual, y);
  if (mean.defined()) batch_norm_statistics(y, mean, variance);
}

void composed_preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                          const Tensor& activated, const Normalisation& norm,
                                          const Tensor& weight, int64_t stride, int64_t padding, Tensor& da,
                                          Tensor& dfilters, Tensor& dweight, Tensor& dbias) {
  Tensor gradient = dy;
  if (next.y.defined()) {
    gradient = Tensor::empty_like(dy);
    batch_norm_backward_input(dy, next.y, next.norm, next.dweight, next.dbias, /*has_relu=*/true,
                              /*other=*/{}, gradient);
  }
  Tensor a = activated;
  if (!a.defined()) {
    a = da;  // which holds it until its own turn comes
    batch_norm_forward(x, norm.without_running(), /*has_relu=*/true, a);
  }
  conv_backward_weight(a, gradient, stride, padding, dfilters);
  conv_backward_input(gradient, weight, stride, padding, da);
  batch_norm_backward_reduce(da, x, norm, /*has_relu=*/true, dweight, dbias);
}

void composed_preactivation_conv_backward_input(const Tensor& dy, const NextNormalisation& next,
                                                const Tensor& x, const Tensor& activated,
                                                const Normalisation& norm, const Tensor& weight,
                                                int64_t stride, int64_t padding, const Tensor& other,
                                                const Tensor& earlier, Tensor& dx, Tensor& dfilters,
                                                Tensor& dweight, Tensor& dbias) {
  preactivation_conv_backward(dy, next, x, activated, norm, weight, stride, padding, /*da=*/dx, dfilters,
                              dweight, dbias);
  batch_norm_backward_input(dx, x, norm, dweight, dbias, /*has_relu=*/true, other.defined() ? other : earlier,
                            dx);
  if (other.defined() && earlier.defined()) accumulate(earlier, dx);
}

void composed_preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain,
                                          const Tensor& residual, Tensor& y) {
  Tensor from = x, no_mean, no_variance;
  for (size_t i = 0; i < chain.stages.size(); ++i) {
    const auto& [norm, weight, stride, padding] = chain.stages[i];
    const bool is_last = i + 1 == chain.stages.size();
    Tensor to = is_last ? y
                        : Tensor::empty(conv_shape(from.shape(), weight.shape(), stride, padding), x.dtype(),
                                        x.device());
    Tensor activated;
    preactivation_conv_forward(from, norm, weight, stride, padding, is_last ? residual : Tensor(), to,
                               activated, no_mean, no_variance);
    from = to;
  }
}

}  // namespace fovea::kernels
