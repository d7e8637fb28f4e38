#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// count += how many numbers of x are NaN or infinite: begin with 0.  x: any shape, count: i64 []
FOVEA_KERNEL(count_non_finite, const Tensor& x, Tensor& count);

}  // namespace fovea::kernels
#pragma GCC visibility pop
