#pragma once

#include "fovea/kernels/cpu/conv_plan.h"
#include "fovea/kernels/preactivation_conv.h"

/// The fused form for f32: see kernels/preactivation_conv.h.
namespace fovea::kernels::cpu::onednn {

/// Whether rows of pixels are whole vectors, and the convolution is one that conv_plan.h has fast kernels
/// for.
bool can_fuse(const ConvProblem& problem);
bool can_fuse(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding);
/// Whether all stages can be fused.
bool can_fuse(const Tensor& x, const PreactivationStages& chain);

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                Tensor& mean, Tensor& variance);
void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Normalisation& norm, const Tensor& weight, int64_t stride,
                                 int64_t padding, Tensor& da, Tensor& dfilters, Tensor& dweight,
                                 Tensor& dbias);
void preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual,
                                 Tensor& y);

}  // namespace fovea::kernels::cpu::onednn
