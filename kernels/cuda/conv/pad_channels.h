#pragma once

#include "fovea/core/tensor.h"

namespace fovea::kernels::cuda {

/// Copies x into y, whose first and last extent may be larger (the rest is 0) or smaller (the rest is cut);
/// the extents between are equal. x: [N, ..., C], y: [N', ..., C']
void pad_channels(const char* operation, const Tensor& x, Tensor& y);

}  // namespace fovea::kernels::cuda
