#pragma once

#include "fovea/config.h"
#include "fovea/core/device.h"
#include "fovea/core/dtype.h"

/// Which dtypes a device computes in.
#pragma GCC visibility push(default)
namespace fovea {

/// Whether there can be tensors of bf16 on a device: on the CPU, and on a CUDA device of compute capability
/// 8.0 (Ampere) or later. An earlier one has no TF32 either, and products and convolutions of f32 are not
/// rounded there, whatever set_tf32 allows.
bool has_bf16(Device device);

/// DeviceError that begins with `operation` and says what the device is, where it has no tensors of `dtype`.
void check_dtype(const char* operation, Dtype dtype, Device device);

namespace cuda {

/// See has_bf16.
FOVEA_CUDA_FUNCTION bool has_bf16(int device);

}  // namespace cuda
}  // namespace fovea
#pragma GCC visibility pop
