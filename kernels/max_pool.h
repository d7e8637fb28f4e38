#pragma once

#include "fovea/kernels/kernel.h"
#include "fovea/kernels/window.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = the largest x of each window; padding never wins, a NaN always does (the last of several), the first
/// of equals wins. winner = r * window.size + s for the winner in row r, column s of its window. x: [N, H, W,
/// C] -> y, winner (u8): [N, H', W', C], H' = window.outputs(H)
FOVEA_KERNEL(max_pool_forward, const Tensor& x, const Window& window, Tensor& y, Tensor& winner);

/// dx = the sum of dy over the windows that x won, in row-major order of the windows.
/// dy, winner (u8): [N, H', W', C] -> dx: [N, H, W, C]
FOVEA_KERNEL(max_pool_backward, const Tensor& dy, const Tensor& winner, const Window& window, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
