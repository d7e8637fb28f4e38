#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// What one step of stochastic gradient descent needs beside the numbers and the learning rate.
struct SgdSettings {
  double momentum = 0.9;
  double weight_decay = 5e-4;
  bool nesterov = true;
  int64_t decay_count = 0;  // the weight decay is for the first so many elements of the arena
};

/// One step in one pass, as PyTorch's: g = gradient_scale * gradient + weight_decay * weight, velocity =
/// momentum * velocity + g, weight -= learning_rate * (nesterov ? g + momentum * velocity : velocity). Begin
/// with a velocity of zeros. velocity, weight: [size], f32 or f64; gradient: [size], of their dtype or,
/// beside f32, bf16 or f16; learning_rate and gradient_scale: [], of their dtype, the scale undefined for 1.
/// non_finite: i64 [] or undefined; where it is not 0, velocity and weight stay as they are. copy: undefined,
/// or [size], bf16 or f16: receives the weights, rounded, in every case. All of this in tensors, so that a
/// captured step can be replayed.
FOVEA_KERNEL(sgd_step, const Tensor& gradient, const Tensor& learning_rate, const Tensor& gradient_scale,
             const Tensor& non_finite, const SgdSettings& settings, Tensor& velocity, Tensor& weight,
             Tensor& copy);

}  // namespace fovea::kernels
#pragma GCC visibility pop
