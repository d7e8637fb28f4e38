#include "fovea/kernels/preactivation_conv.h"

#include <algorithm>
#include <string>

#include "fovea/core/environment.h"
#include "fovea/kernels/cuda/preactivation_pointwise.h"

// What is no 1x1 in 16 bits is put together from passes: cuDNN has no bf16 form of this fusion for training.
namespace fovea::kernels::cuda {
namespace {

// Where both are at least so many channels, cuDNN's products gain more than the fusion does: measured on an
// H100.
constexpr int64_t kManyChannels = 256;

bool has_many_channels(const Tensor& weight) {
  return std::min(weight.shape(0), weight.shape(3)) >= kManyChannels;
}

/// With FOVEA_FUSED=0 everything is put together from passes, with FOVEA_FUSED=all nothing that has a fused
/// form: to compare.
bool is_fused(const Tensor& weight) {
  static const std::string wanted = environment("FOVEA_FUSED");
  return wanted != "0" && (wanted == "all" || !has_many_channels(weight));
}

}  // namespace

void preactivation_conv_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                                Tensor& y, Tensor& activated, Tensor& mean, Tensor& variance) {
  if (is_fused(stage.weight) && is_preactivation_pointwise(x, stage, {y, residual})) {
    return preactivation_pointwise_forward(x, stage, residual, y, mean, variance);
  }
  composed_preactivation_conv_forward(x, stage, residual, y, activated, mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next,
                                 const SavedPreactivation& saved, Tensor& da,
                                 PreactivationGradients& gradients) {
  const PreactivationStage& stage = saved.stage;
  if (is_fused(stage.weight) && is_preactivation_pointwise(saved.x, stage, {dy, next.y, da}) &&
      has_preactivation_pointwise_backward(saved.x, stage.weight, next)) {
    Tensor nothing_kept;
    return preactivation_pointwise_backward(dy, next, saved, nothing_kept, da, gradients);
  }
  composed_preactivation_conv_backward(dy, next, saved, da, gradients);
}

void preactivation_conv_backward_input(const Tensor& dy, const NextNormalisation& next,
                                       const SavedPreactivation& saved, const Tensor& other,
                                       const Tensor& earlier, Tensor& dx, PreactivationGradients& gradients) {
  const PreactivationStage& stage = saved.stage;
  if (!is_fused(stage.weight) ||
      !is_preactivation_pointwise(saved.x, stage, {dy, next.y, other, earlier, dx}) ||
      !has_preactivation_pointwise_backward(saved.x, stage.weight, next)) {
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
