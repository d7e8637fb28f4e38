#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/cpu/move_running.h"
#include "fovea/kernels/cpu/preactivation_pointwise.h"

#if FOVEA_HAS_ONEDNN
#include "fovea/kernels/cpu/preactivation_conv_onednn.h"
#endif

namespace fovea::kernels::cpu {

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y, Tensor&,
                                Tensor& mean, Tensor& variance) {
  if (pointwise::suits(x, weight, stride, padding)) {
    move_running(norm, x.size() / norm.mean.size());
    return pointwise::preactivation_conv_forward(x, norm, weight, residual, y, mean, variance);
  }
#if FOVEA_HAS_ONEDNN
  if (onednn::can_fuse(x, weight, stride, padding)) {
    move_running(norm, x.size() / norm.mean.size());
    return onednn::preactivation_conv_forward(x, norm, weight, stride, padding, residual, y, mean, variance);
  }
#endif
  Tensor not_kept;  // memory is scarcer here than time
  composed_preactivation_conv_forward(x, norm, weight, stride, padding, residual, y, not_kept, mean,
                                      variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Tensor& activated, const Normalisation& norm, const Tensor& weight,
                                 int64_t stride, int64_t padding, Tensor& da, Tensor& dfilters,
                                 Tensor& dweight, Tensor& dbias) {
  if (pointwise::suits(x, weight, stride, padding)) {
    return pointwise::preactivation_conv_backward(dy, next, x, norm, weight, da, dfilters, dweight, dbias);
  }
#if FOVEA_HAS_ONEDNN
  if (onednn::can_fuse(x, weight, stride, padding)) {
    return onednn::preactivation_conv_backward(dy, next, x, norm, weight, stride, padding, da, dfilters,
                                               dweight, dbias);
  }
#endif
  composed_preactivation_conv_backward(dy, next, x, activated, norm, weight, stride, padding, da, dfilters,
                                       dweight, dbias);
}

void preactivation_conv_backward_input(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                       const Tensor& activated, const Normalisation& norm,
                                       const Tensor& weight, int64_t stride, int64_t padding,
                                       const Tensor& other, const Tensor& earlier, Tensor& dx,
                                       Tensor& dfilters, Tensor& dweight, Tensor& dbias) {
  composed_preactivation_conv_backward_input(dy, next, x, activated, norm, weight, stride, padding, other,
                                             earlier, dx, dfilters, dweight, dbias);
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
#if FOVEA_HAS_ONEDNN
  if (onednn::can_fuse(x, chain)) return onednn::preactivation_chain_forward(x, chain, residual, y);
#endif
  composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cpu
