#include "fovea/kernels/preactivation_conv.h"

// cuDNN has no bf16 form of this fusion for training, so the passes follow each other; what is saved is the
// memory of the activated tensor.
namespace fovea::kernels::cuda {

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                Tensor& mean, Tensor& variance) {
  composed_preactivation_conv_forward(x, norm, weight, stride, padding, residual, y, mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Normalisation& norm, const Tensor& weight, int64_t stride,
                                 int64_t padding, Tensor& da, Tensor& dfilters, Tensor& dweight,
                                 Tensor& dbias) {
  composed_preactivation_conv_backward(dy, next, x, norm, weight, stride, padding, da, dfilters, dweight,
                                       dbias);
}

void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y) {
  composed_preactivation_chain_forward(x, chain, residual, y);
}

}  // namespace fovea::kernels::cuda
