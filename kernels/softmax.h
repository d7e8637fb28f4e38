#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y[i] = exp(x[i] - max x) / sum over j of exp(x[j] - max x), along the last axis.
FOVEA_KERNEL(softmax_forward, const Tensor& x, Tensor& y);
/// dx[i] = y[i] * (dy[i] - sum over j of dy[j] * y[j])
FOVEA_KERNEL(softmax_backward, const Tensor& dy, const Tensor& y, Tensor& dx);
/// y[i] = x[i] - max x - log(sum over j of exp(x[j] - max x)), along the last axis.
FOVEA_KERNEL(log_softmax_forward, const Tensor& x, Tensor& y);
/// dx[i] = dy[i] - exp(y[i]) * sum over j of dy[j]
FOVEA_KERNEL(log_softmax_backward, const Tensor& dy, const Tensor& y, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
