#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = x / max(||x||, 1e-12), ||x|| = sqrt(sum of x^2 over the channels) at each position (eq. 5 of the
/// paper).  x, y: [N, H, W, C]
FOVEA_KERNEL(channel_norm_forward, const Tensor& x, Tensor& y);

/// dx = (dy - x * <dy, x> / ||x||^2) / ||x||; dy / 1e-12 where ||x|| < 1e-12, since there y = x / 1e-12.
/// dy, x, dx: [N, H, W, C]
FOVEA_KERNEL(channel_norm_backward, const Tensor& dy, const Tensor& x, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
