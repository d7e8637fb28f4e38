#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y[o, i] = factor * sum over r of x[o, r, i]: a sum with factor 1, a mean with 1 / R. Summed as a tree
/// whose form follows from the shape alone.  x: [O, R, I], y: [O, I]
FOVEA_KERNEL(reduce_forward, const Tensor& x, double factor, Tensor& y);
/// dx[o, r, i] = factor * dy[o, i]  dy: [O, I], dx: [O, R, I]
FOVEA_KERNEL(reduce_backward, const Tensor& dy, double factor, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
