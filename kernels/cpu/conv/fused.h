#pragma once

#include "fovea/kernels/preactivation_conv.h"

/// The fused forms of f32 and bf16 between which choice.h chooses. Arguments as in
/// kernels/preactivation_conv.h, whose running statistics the caller has moved; a = relu(norm(x)) is not
/// stored.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// 1x1: a thread takes a block of rows of pixels through everything, by products of packed panels.
namespace fused_1x1 {

void forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
             Tensor& mean, Tensor& variance);
void backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
              PreactivationGradients& gradients);

}  // namespace fused_1x1

/// A thread takes a chunk that fits into its L2 cache through everything, by an engine of chunks.
namespace fused_chunks {

void forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
             Tensor& mean, Tensor& variance);
void backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
              PreactivationGradients& gradients);

}  // namespace fused_chunks

/// A thread takes a few images through all stages.
namespace fused_chain {

void forward(const Tensor& x, const PreactivationStages& chain, const Tensor& residual, Tensor& y);

}  // namespace fused_chain
}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
