#pragma once

#include <cstdint>

#include "fovea/core/tensor.h"

namespace fovea::bench {

/// i32 [N] on `device`: each below `classes`.
Tensor random_labels(int64_t N, int64_t classes, Device device);

}  // namespace fovea::bench
