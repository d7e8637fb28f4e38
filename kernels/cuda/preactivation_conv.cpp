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

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                Tensor& activated, Tensor& mean, Tensor& variance) {
  if (is_fused(weight) && is_preactivation_pointwise(x, weight, stride, padding, {y, residual})) {
    return preactivation_pointwise_forward(x, norm, weight, residual, y, mean, variance);
  }
  composed_preactivation_conv_forward(x, norm, weight, stride, padding, residual, y, activated, mean,
                                      variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Tensor& activated, const Normalisation& norm, const Tensor& weight,
                                 int64_t stride, int64_t padding, Tensor& da, Tensor& dfilters,
                                 Tensor& dweight, Tensor& dbias) {
  if (is_fused(weight) && is_preactivation_pointwise(x, weight, stride, padding, {dy, next.y, da}) &&
      has_preactivation_pointwise_backward(x, weight, next)) {
    Tensor nothing_kept;
    return preactivation_pointwise_backward(dy, next, x, norm, weight, nothing_kept, da, dfilters, dweight,
                                            dbias);
  }
  composed_preactivation_conv_backward(dy, next, x, activated, norm, weight, stride, padding, da, dfilters,
                                       dweight, dbias);
}

void preactivation_conv_backward_input(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                       const Tensor& activated, const Normalisation& norm,
                                       const Tensor& weight, int64_t stride, int64_t padding,
                                       const Tensor& other, const Tensor& earlier, Tensor& dx,
                                       Tensor& dfilters, Tensor& dweight, Tensor& dbias) {
  if (!is_fused(weight) ||
      !is_preactivation_pointwise(x, weight, stride, padding, {dy, next.y, other, earlier, dx}) ||
      !has_preactivation_pointwise_backward(x, weight, next)) {
    return composed_preactivation_conv_backward_input(dy, next, x, activated, norm, weight, stride, padding,
                                                      other, earlier, dx, dfilters, dweight, dbias);
  }
  Tensor kept, no_da;
  if (next.y.defined()) kept = Tensor::empty_like(dy);
  preactivation_pointwise_backward(dy, next, x, norm, weight, kept, no_da, dfilters, dweight, dbias);
  preactivation_pointwise_input_gradient(next.y.defined() ? kept : dy, x, norm, weight, dweight, dbias, other,
                                         earlier, dx);
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
  composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cuda
