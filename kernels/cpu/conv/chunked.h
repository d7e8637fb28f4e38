#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv_problem.h"
#include "fovea/kernels/cpu/conv/chunk_engine.h"

/// f32 convolutions chunk by chunk: the loops over chunks and groups, whatever the engine.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::chunked {

/// The engine that choice.h chooses for the chunks. `pass` is forward or backward_input, `weight` f32 or
/// bf16.
std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight);
std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks);

/// dweight from the sums of `groups` groups, [groups, gradient.size()], added in order.
void finish(const ChunkedFilterGradient& gradient, int64_t groups, const Tensor& sums, Tensor& dweight);

/// The passes of a convolution: x [N, H, W, C], y and dy [N, P, Q, K], dx and dweight in f32; weight [K, R,
/// S, C] in f32 or bf16.
void conv_forward(const ConvProblem& problem, const Tensor& x, const Tensor& weight, Tensor& y);
void conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight, Tensor& dx);
void conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy, Tensor& dweight);

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::chunked
