#include "fovea/kernels/preactivation_conv.h"

#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/fused.h"
#include "fovea/kernels/cpu/move_running.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void preactivation_conv_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                                Tensor& y, Tensor&, Tensor& mean, Tensor& variance) {
  const PreactivationForm form = choose_preactivation(problem_of(x.shape(), stage), x.dtype());
  if (form == PreactivationForm::composed) {
    Tensor not_kept;  // memory is scarcer here than time
    return composed_preactivation_conv_forward(x, stage, residual, y, not_kept, mean, variance);
  }
  move_running(stage.norm, x.size() / stage.norm.mean.size());
  form == PreactivationForm::packed_1x1 ? fused_1x1::forward(x, stage, residual, y, mean, variance)
                                        : fused_chunks::forward(x, stage, residual, y, mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved,
                                 Tensor& da, PreactivationGradients& gradients) {
  switch (choose_preactivation(problem_of(saved.x.shape(), saved.stage), saved.x.dtype())) {
    case PreactivationForm::packed_1x1: return fused_1x1::backward(dy, next, saved, da, gradients);
    case PreactivationForm::chunks: return fused_chunks::backward(dy, next, saved, da, gradients);
    case PreactivationForm::composed: break;
  }
  composed_preactivation_conv_backward(dy, next, saved, da, gradients);
}

void preactivation_conv_backward_input(const Tensor& dy, const NextNorm& next,
                                       const SavedPreactivation& saved, const Tensor& other,
                                       const Tensor& earlier, Tensor& dx, PreactivationGradients& gradients) {
  composed_preactivation_conv_backward_input(dy, next, saved, other, earlier, dx, gradients);
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
  is_chained(x, chain) ? fused_chain::forward(x, chain, residual, y)
                       : composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
