#pragma once

#include "fovea/core/tensor.h"

namespace fovea {

/// The shape of the result of a convolution of x, of this shape and dtype: for conv and what is fused with
/// it. Checks x, weight, stride and padding.
Shape checked_conv_shape(const char* operation, const Shape& x, Dtype dtype, const Tensor& weight,
                         int64_t stride, int64_t padding);

}  // namespace fovea
