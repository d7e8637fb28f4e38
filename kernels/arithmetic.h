#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = a + b, element by element.  a, b, y: one shape and dtype
FOVEA_KERNEL(add_forward, const Tensor& a, const Tensor& b, Tensor& y);
/// y = a - b
FOVEA_KERNEL(sub_forward, const Tensor& a, const Tensor& b, Tensor& y);
/// y = a * b
FOVEA_KERNEL(mul_forward, const Tensor& a, const Tensor& b, Tensor& y);
/// y = factor * x; y may be x.
FOVEA_KERNEL(scale_forward, const Tensor& x, double factor, Tensor& y);
/// y += x
FOVEA_KERNEL(accumulate, const Tensor& x, Tensor& y);

}  // namespace fovea::kernels
#pragma GCC visibility pop
