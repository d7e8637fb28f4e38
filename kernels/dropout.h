#pragma once

#include "fovea/core/random.h"
#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y[i] = x[i] / (1 - p) where number i of the stream, uniform in [0, 1), is at least p; else 0. Its own
/// backward: the same numbers are kept. DeviceError while a graph is recorded.
FOVEA_KERNEL(dropout_forward, const Tensor& x, double p, const Random& random, Tensor& y);

}  // namespace fovea::kernels
#pragma GCC visibility pop
