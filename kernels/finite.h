#pragma once

#include <cstdint>

#include "fovea/kernels/kernel.h"

namespace fovea::kernels {

/// count = how many numbers of x are NaN or infinite.  x: any shape
FOVEA_KERNEL(count_non_finite, const Tensor& x, int64_t& count);

}  // namespace fovea::kernels
