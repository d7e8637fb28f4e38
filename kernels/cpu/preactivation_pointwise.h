#pragma once

#include "fovea/kernels/preactivation_conv.h"

/// Pre-activation convolutions of 1x1, products of matrices: see kernels/preactivation_conv.h.
namespace fovea::kernels::cpu::pointwise {

/// f32, 1x1, stride 1, channels that fill registers of AVX2 or AVX-512, and a number of pixels in an image
/// that is a multiple of 4.
bool suits(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding);

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                const Tensor& residual, Tensor& y, Tensor& mean, Tensor& variance);
void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Normalisation& norm, const Tensor& weight, Tensor& da,
                                 Tensor& dfilters, Tensor& dweight, Tensor& dbias);

}  // namespace fovea::kernels::cpu::pointwise
