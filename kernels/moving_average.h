#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// average += (1 - d) * (x - average), d = min(decay, (1 + steps) / (10 + steps)): an exponential moving
/// average over steps, of which the first weigh less (Tan and Le, "EfficientNet", 2019, as TensorFlow writes
/// it). Where non_finite is not 0, average stays. x, average: one shape, f32 or f64; steps, non_finite: i64
/// []
FOVEA_KERNEL(moving_average, const Tensor& x, const Tensor& steps, const Tensor& non_finite, double decay,
             Tensor& average);

}  // namespace fovea::kernels
#pragma GCC visibility pop
