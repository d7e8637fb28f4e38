#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = x in the dtype of y, element by element; x and y may have any dtype. Rounds to nearest even between
/// floating dtypes (16-bit ones by way of f32; a processor that rounds to bf16 by itself takes subnormal
/// numbers for zeros), towards zero from a floating dtype to an integer.
FOVEA_KERNEL(cast_forward, const Tensor& x, Tensor& y);

}  // namespace fovea::kernels
#pragma GCC visibility pop
