#pragma once

#include <cuda_runtime.h>

namespace fovea::kernels::cuda {

/// 1 / (1 + e^-x) to some units of the last place; 0 from x = -88 down. The quotient needs no rounding to the
/// last bit, which would cost more than all the rest.
__device__ inline float sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + expf(-x));
}

}  // namespace fovea::kernels::cuda
