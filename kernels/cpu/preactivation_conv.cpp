#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/fused.h"
#include "fovea/kernels/cpu/move_running.h"

namespace fovea::kernels::cpu {

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y, Tensor&,
                                Tensor& mean, Tensor& variance) {
  const PreactivationStage stage{norm, weight, stride, padding};
  const PreactivationForm form = choose_preactivation(problem_of(x.shape(), stage), x.dtype());
  if (form == PreactivationForm::composed) {
    Tensor not_kept;  // memory is scarcer here than time
    return composed_preactivation_conv_forward(x, norm, weight, stride, padding, residual, y, not_kept, mean,
                                               variance);
  }
  move_running(norm, x.size() / norm.mean.size());
  form == PreactivationForm::packed_1x1 ? fused_1x1::forward(x, stage, residual, y, mean, variance)
                                        : fused_chunks::forward(x, stage, residual, y, mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Tensor& activated, const Normalisation& norm, const Tensor& weight,
                                 int64_t stride, int64_t padding, Tensor& da, Tensor& dfilters,
                                 Tensor& dweight, Tensor& dbias) {
  const PreactivationStage stage{norm, weight, stride, padding};
  switch (choose_preactivation(problem_of(x.shape(), stage), x.dtype())) {
    case PreactivationForm::packed_1x1:
      return fused_1x1::backward(dy, next, x, stage, da, dfilters, dweight, dbias);
    case PreactivationForm::chunks:
      return fused_chunks::backward(dy, next, x, stage, da, dfilters, dweight, dbias);
    case PreactivationForm::composed: break;
  }
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
  is_chained(x, chain) ? fused_chain::forward(x, chain, residual, y)
                       : composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cpu
