#pragma once

#include "fovea/kernels/kernel.h"

namespace fovea::kernels {

/// What one step of stochastic gradient descent needs beside the numbers and the learning rate.
struct SgdSettings {
  double momentum = 0.9;
  double weight_decay = 5e-4;
  bool nesterov = true;
  int64_t decay_count = 0;  // the weight decay is for the first so many elements of the arena
};

/// One step in one pass, as PyTorch's: g = gradient + weight_decay * weight, velocity = momentum * velocity +
/// g, weight -= learning_rate * (nesterov ? g + momentum * velocity : velocity). Begin with a velocity of
/// zeros. gradient, velocity, weight: [size], f32 or f64; learning_rate: [], the same dtype (a tensor, so
/// that a captured step can be replayed).
FOVEA_KERNEL(sgd_step, const Tensor& gradient, const Tensor& learning_rate, const SgdSettings& settings,
             Tensor& velocity, Tensor& weight);

}  // namespace fovea::kernels
