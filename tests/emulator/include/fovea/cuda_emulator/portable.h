#pragma once

// What differs between nvcc and the emulator in a kernel's source; launches are cudaLaunchKernelEx's on both.

#include <cuda_runtime.h>

#if defined(__CUDACC__)

/// FOVEA_SHARED(float, sums, 32); declares an array in shared memory, one for each block: `float sums[32]`.
#define FOVEA_SHARED(type, name, count) __shared__ type name[count]

/// FOVEA_DYNAMIC_SHARED(memory, bytes); declares `uint4 memory[]`, the `bytes` of shared memory that the
/// launch asks for.
#define FOVEA_DYNAMIC_SHARED(name, bytes) extern __shared__ uint4 name[]

#else

#define FOVEA_SHARED(type, name, count) \
  static const char name##_key = 0;     \
  auto* const name = ::fovea::emulator::shared_array<type>(&name##_key, count)

#define FOVEA_DYNAMIC_SHARED(name, bytes) \
  auto* const name = static_cast<uint4*>(::fovea::emulator::dynamic_shared_memory(bytes))

#endif
