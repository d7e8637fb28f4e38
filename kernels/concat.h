#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y[o, offset + i] = x[o, i]: one part of a concatenation.  x: [O, I], y: [O, J], any dtype
FOVEA_KERNEL(concat_forward, const Tensor& x, int64_t offset, Tensor& y);
/// dx[o, i] = dy[o, offset + i]  dy: [O, J], dx: [O, I]
FOVEA_KERNEL(concat_backward, const Tensor& dy, int64_t offset, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
