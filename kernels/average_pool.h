#pragma once

#include "fovea/kernels/kernel.h"
#include "fovea/kernels/window.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = (sum of x over the window) / window.size^2: padding counts as zeros.
/// x: [N, H, W, C] -> y: [N, H', W', C], H' = window.outputs(H)
FOVEA_KERNEL(average_pool_forward, const Tensor& x, const Window& window, Tensor& y);

/// dx = (sum of dy over the windows that cover x) / window.size^2.  dy: [N, H', W', C] -> dx: [N, H, W, C]
FOVEA_KERNEL(average_pool_backward, const Tensor& dy, const Window& window, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
