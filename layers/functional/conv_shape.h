#pragma once

#include "fovea/core/tensor.h"

namespace fovea {

/// The shape of a convolution's result, for conv and what is fused with it. Checks x, weight, stride and
/// padding.
Shape checked_conv_shape(const char* operation, const Tensor& x, const Tensor& weight, int64_t stride,
                         int64_t padding);

}  // namespace fovea
