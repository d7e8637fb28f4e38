#pragma once

#include "fovea/kernels/preactivation_conv.h"

/// Who computes a pre-activation convolution on a GPU; a convolution alone is always cuDNN's (cudnn_plans.h),
/// and which of its engines that is, is measured.
namespace fovea::kernels::cuda {

/// Whether the forward pass is fused_1x1.h's. Everything else is put together from passes: cuDNN has no bf16
/// form of this fusion for training.
bool is_fused_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                      const Tensor& y);

/// Whether the backward pass is. `others`: what is read and written as large as x or dy, and may be
/// undefined.
bool is_fused_backward(const SavedPreactivation& saved, const NextNorm& next,
                       std::initializer_list<Tensor> others);

}  // namespace fovea::kernels::cuda
