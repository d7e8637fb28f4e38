#include "fovea/kernels/cuda/conv/choice.h"

#include <algorithm>
#include <string>

#include "fovea/core/environment.h"
#include "fovea/kernels/cuda/conv/fused_1x1.h"

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

bool is_fused_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                      const Tensor& y) {
  return is_fused(stage.weight) && is_preactivation_pointwise(x, stage, {y, residual}) &&
         has_preactivation_pointwise_forward(x, stage.weight);
}

bool is_fused_backward(const SavedPreactivation& saved, const NextNorm& next,
                       std::initializer_list<Tensor> others) {
  return is_fused(saved.stage.weight) && is_preactivation_pointwise(saved.x, saved.stage, others) &&
         has_preactivation_pointwise_backward(saved.x, saved.stage.weight, next);
}

}  // namespace fovea::kernels::cuda
