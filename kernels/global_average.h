#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = the mean of x over H and W: rows are summed first, then the sums of the rows.
/// x: [N, H, W, C] -> y: [N, C]
FOVEA_KERNEL(global_average_forward, const Tensor& x, Tensor& y);

/// dx = dy / (H * W), the same at each position.  dy: [N, C] -> dx: [N, H, W, C]
FOVEA_KERNEL(global_average_backward, const Tensor& dy, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
