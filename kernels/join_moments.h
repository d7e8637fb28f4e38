#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Means and variances of the parts of a batch, of equal size, become those of all of it: the mean is that of
/// the means, the variance is the mean of the variances plus that of (a part's mean - mean)^2. On the CPU
/// pairs are joined first, then pairs of pairs (Chan, Golub, LeVeque 1979), as within a part.
/// parts: [R, 2, C], the mean and the variance of each, f64 on the CPU (rounded, the mean of a part would
/// cost the variance of all digits where it is the larger one), f32 on a device; mean, variance: [C], f32 or,
/// on the CPU, f64
FOVEA_KERNEL(join_moments, const Tensor& parts, Tensor& mean, Tensor& variance);

}  // namespace fovea::kernels
#pragma GCC visibility pop
