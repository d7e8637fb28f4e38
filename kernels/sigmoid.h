#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = 1 / (1 + exp(-x)), element by element.
FOVEA_KERNEL(sigmoid_forward, const Tensor& x, Tensor& y);
/// dx = dy * y * (1 - y)
FOVEA_KERNEL(sigmoid_backward, const Tensor& dy, const Tensor& y, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
