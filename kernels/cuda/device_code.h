#pragma once

#include <cuda_runtime.h>

#include "fovea/core/cuda/runtime.h"

// What of a kernel's code and of its launch nvcc alone understands. Whoever compiles the kernels for
// something else than a device brings a header of this name, and of those of async_copy.h and
// conv/tensor_core.h, with the same contents.

/// FOVEA_SHARED(float, sums, 32); declares an array in shared memory, one for each block: `float sums[32]`.
#define FOVEA_SHARED(type, name, count) __shared__ type name[count]

/// FOVEA_DYNAMIC_SHARED(memory, bytes); declares `uint4 memory[]`, the bytes of shared memory that the launch
/// asks for by Grid::shared: a multiple of 16, and more than a compiler allows an array.
#define FOVEA_DYNAMIC_SHARED(name, bytes) extern __shared__ uint4 name[]

namespace fovea::kernels::cuda {

/// Checks nothing: a device faults by itself where a value is not aligned.
template <class T>
__device__ inline void check_alignment(const void*) {}

/// Ends the kernel with an error, where code is reached that must not run on the device.
[[noreturn]] __device__ inline void stop_kernel() {
  __trap();
  __builtin_unreachable();
}

/// Reads or writes a T, aligned to alignof(T), where elements of another type lie: one instruction.
template <class T>
__device__ inline T load_as(const void* data) {
  return *static_cast<const T*>(data);
}
template <class T>
__device__ inline void store_as(void* data, const T& value) {
  *static_cast<T*>(data) = value;
}

/// Puts a kernel into the current stream, with so many bytes of dynamic shared memory.
template <class... Parameters>
void start(const char* operation, void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared,
           Parameters... arguments) {
  constexpr size_t kWithoutAsking =
      32 * 1024;  // of the 48 KB that a block gets unasked; the rest is for arrays of fixed size
  if (shared > kWithoutAsking) {
    fovea::cuda::check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        operation, ": ", shared, " bytes of shared memory for a block");
  }
  kernel<<<blocks, threads, shared, fovea::cuda::current_stream()>>>(arguments...);
}

}  // namespace fovea::kernels::cuda
