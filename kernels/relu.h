#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = max(x, 0), element by element; NaN stays NaN.
FOVEA_KERNEL(relu_forward, const Tensor& x, Tensor& y);
/// dx = 0 where y <= 0, else dy, also where y is NaN.
FOVEA_KERNEL(relu_backward, const Tensor& dy, const Tensor& y, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
