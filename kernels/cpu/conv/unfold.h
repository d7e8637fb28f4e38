#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv_problem.h"

/// Convolutions as products of matrices by Eigen.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Each image is unfolded into a matrix (im2col): for every dtype; those of 16 bits are widened to f32
/// before, and the result is rounded.
namespace unfolded {

void conv_forward(const ConvProblem& problem, const Tensor& x, const Tensor& weight, Tensor& y);
void conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight, Tensor& dx);
void conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy, Tensor& dweight);

}  // namespace unfolded

/// f32, 1x1, whose result has few channels: dx = dy * weight, dweight = dy^T * x.
namespace narrow {

void conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight, Tensor& dx);
void conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy, Tensor& dweight);

}  // namespace narrow
}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
