#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = (x - mean) * rstd over H and W of each channel of each image (inside eq. 6 of the paper);
/// rstd = 1 / sqrt(variance + 1e-5), the variance biased: mean of (x - mean)^2.
/// x, y: [N, H, W, C]; mean, rstd: [N, C], f32 (f64 for f64 x)
FOVEA_KERNEL(spatial_norm_forward, const Tensor& x, Tensor& y, Tensor& mean, Tensor& rstd);

/// With z = (x - mean) * rstd: dx = rstd * (dy - mean over H, W of dy - z * mean over H, W of dy * z).
/// dy, x, dx: [N, H, W, C]; mean, rstd: [N, C], f32 (f64 for f64 x)
FOVEA_KERNEL(spatial_norm_backward, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
             Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
