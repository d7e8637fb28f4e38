#pragma once

#include "fovea/core/tensor.h"

namespace fovea::kernels::cuda {

/// y[..., k] += bias[k].  bias: [K], y: [..., K]
void add_bias(const char* operation, const Tensor& bias, Tensor& y);

}  // namespace fovea::kernels::cuda
