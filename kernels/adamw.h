#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// What one step of AdamW needs beside the numbers, the learning rate and the number of the step.
struct AdamwSettings {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;
  int64_t decay_count = 0;  // the weight decay is for the first so many elements of the arena
};

/// One step in one pass, as PyTorch's (Loshchilov and Hutter 2019, arXiv:1711.05101), from moments of zeros:
///   g = gradient_scale * gradient, weight -= learning_rate * weight_decay * weight
///   mean = beta1 * mean + (1 - beta1) * g, square = beta2 * square + (1 - beta2) * g^2
///   weight -= learning_rate * (mean / (1 - beta1^step)) / (sqrt(square / (1 - beta2^step)) + epsilon)
/// mean, square, weight: [size], f32 or f64; step: i64 [], 1 for the first; gradient, learning_rate,
/// gradient_scale, non_finite and copy are as those of sgd_step. Where non_finite is not 0, the caller must
/// not count the step.
FOVEA_KERNEL(adamw_step, const Tensor& gradient, const Tensor& learning_rate, const Tensor& step,
             const Tensor& gradient_scale, const Tensor& non_finite, const AdamwSettings& settings,
             Tensor& mean, Tensor& square, Tensor& weight, Tensor& copy);

}  // namespace fovea::kernels
#pragma GCC visibility pop
