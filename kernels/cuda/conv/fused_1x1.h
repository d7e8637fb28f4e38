#pragma once

#include <initializer_list>

#include "fovea/kernels/preactivation_conv.h"

/// Pre-activation convolutions of 1x1 in bf16 and f16, by products of our own on tensor cores: the activation
/// is computed while x is read, the residual added and the moments summed up while y is written; backward
/// likewise. Arguments as in preactivation_conv.h.
namespace fovea::kernels::cuda {

/// Whether they can do it: 1x1, stride 1, no padding, channels by 8; x, the weights and `others`, what else
/// is read or written as large, where it is defined, aligned to 16 bytes.
bool is_preactivation_pointwise(const Tensor& x, const PreactivationStage& stage,
                                std::initializer_list<Tensor> others);

/// Whether a block of the device has as much shared memory as the forward pass takes: everywhere but for many
/// channels before compute capability 8.0.
bool has_preactivation_pointwise_forward(const Tensor& x, const Tensor& weight);

/// y may be the residual; nothing else may share memory with what is written.
void preactivation_pointwise_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                                     Tensor& y, Tensor& mean, Tensor& variance);

/// Whether the backward pass can do it as well: y has not too many channels, and a block of the device as
/// much shared memory as that takes.
bool has_preactivation_pointwise_backward(const Tensor& x, const Tensor& weight, const NextNorm& next);

/// Both gradients from one read of dy and x. da, like x, is the gradient of relu(norm(x)), `kept`, like dy,
/// that of y where `next.y` is defined; either may be undefined where it is not wanted.
void preactivation_pointwise_backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved,
                                      Tensor& kept, Tensor& da, PreactivationGradients& gradients);

/// dx = the gradient of x + other + earlier, after preactivation_pointwise_backward has left the gradients of
/// the norm: da is computed again from the gradient of y, which is a quarter of it in a residual unit,
/// instead of stored and read. `other` and `earlier` may be undefined.
void preactivation_pointwise_input_gradient(const Tensor& gradient, const SavedPreactivation& saved,
                                            const PreactivationGradients& gradients, const Tensor& other,
                                            const Tensor& earlier, Tensor& dx);

}  // namespace fovea::kernels::cuda
