#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace fovea::cuda {

/// Copies from the CPU to the current device, after what was launched there before, through pinned memory:
/// returns as soon as `from` may be changed, and does not wait for the device unless more is on its way than
/// the pinned memory holds.
void copy_staged(void* to, const void* from, size_t bytes);

}  // namespace fovea::cuda
