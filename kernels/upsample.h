#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Bilinear, corners aligned: output row i reads the input at u = i * (h - 1) / (H - 1) (0 where H = 1), that
/// is row floor(u) with weight 1 - u + floor(u) and, if there is one, the next row with u - floor(u); so
/// along W as well. Any sizes, smaller ones too.  x: [N, h, w, C] -> y: [N, H, W, C]
FOVEA_KERNEL(upsample_forward, const Tensor& x, Tensor& y);

/// y = upsample(x) + skip, rounded once.  x: [N, h, w, C], skip: [N, H, W, C] -> y: [N, H, W, C]
FOVEA_KERNEL(upsample_add_forward, const Tensor& x, const Tensor& skip, Tensor& y);

/// dx = the sum of dy over all outputs that read x, each times its weight, in the order of the outputs.
/// The gradient of upsample_add to x as well; that to skip is dy.  dy: [N, H, W, C] -> dx: [N, h, w, C]
FOVEA_KERNEL(upsample_backward, const Tensor& dy, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
