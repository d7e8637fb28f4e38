#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fovea/core/cuda/runtime.h"

/// FOVEA_SHARED(float, sums, 32); declares an array in shared memory, one for each block: `float sums[32]`.
#ifdef __CUDACC__
#define FOVEA_SHARED(type, name, count) __shared__ type name[count]
#else
#define FOVEA_SHARED(type, name, count) \
  static const char name##_key = 0;     \
  auto* const name = ::fovea::emulator::shared_array<type>(&name##_key, count)
#endif

/// FOVEA_DYNAMIC_SHARED(memory, bytes); declares `uint4 memory[]`, the bytes of shared memory that the launch
/// asks for by Grid::shared: a multiple of 16, and more than a compiler allows an array.
#ifdef __CUDACC__
#define FOVEA_DYNAMIC_SHARED(name, bytes) extern __shared__ uint4 name[]
#else
#define FOVEA_DYNAMIC_SHARED(name, bytes) \
  auto* const name = static_cast<uint4*>(::fovea::emulator::dynamic_shared_memory(bytes))
#endif

namespace fovea::kernels::cuda {

inline constexpr int kWarpSize = 32;

struct Grid {
  dim3 blocks, threads;
  size_t shared = 0;  // bytes of dynamic shared memory
};

/// What a kernel with `threads` threads a block and one item for each thread needs for `items` items, but no
/// more blocks than fit on the device at once, `blocks` on each multiprocessor: the kernel goes on in a loop
/// with a stride of the whole grid.
inline Grid grid_for(int64_t items, int threads = 256, int blocks = 8) {
  const int64_t wanted = (items + threads - 1) / threads;
  const int64_t most = int64_t{fovea::cuda::multiprocessors()} * blocks;
  return {dim3(static_cast<unsigned>(std::max<int64_t>(std::min(wanted, most), 1))),
          dim3(static_cast<unsigned>(threads))};
}

/// This thread's number in the grid, and how many there are.
__device__ inline int64_t grid_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t grid_threads() {
  return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

#ifndef __CUDACC__
/// The bytes of a kernel's arguments, each from a multiple of 8 on.
template <class... Arguments>
std::string bytes_of_arguments(const Arguments&... arguments) {
  std::string bytes;
  const auto append = [&](const void* argument, size_t size) {
    bytes.append(static_cast<const char*>(argument), size);
    bytes.resize((bytes.size() + 7) / 8 * 8);
  };
  (append(&arguments, sizeof(arguments)), ...);
  return bytes;
}

/// On a device, an address of the CPU would fault.
template <class T>
void check_argument(const char* operation, const T& argument) {
  if constexpr (std::is_pointer_v<T>) {
    check(emulator::is_device_pointer(argument), operation, ": an argument of a kernel points to CPU memory");
  }
}
#endif

/// Launches a kernel on the current stream; the one place where that is done. DeviceError that begins with
/// `operation` if it cannot be launched.
template <class... Parameters, class... Arguments>
void launch(const char* operation, void (*kernel)(Parameters...), const Grid& grid, Arguments... arguments) {
#ifdef __CUDACC__
  constexpr size_t kWithoutAsking = 32 * 1024;  // of 48 KB that a block has, arrays of fixed size included
  if (grid.shared > kWithoutAsking) {
    fovea::cuda::check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(grid.shared)),
                            operation, ": ", grid.shared, " bytes of shared memory for a block");
  }
  kernel<<<grid.blocks, grid.threads, grid.shared, fovea::cuda::current_stream()>>>(
      static_cast<Parameters>(arguments)...);
#else
  (check_argument(operation, static_cast<Parameters>(arguments)), ...);
  emulator::launch(
      operation,
      {reinterpret_cast<const void*>(kernel), grid.blocks, grid.threads,
       emulator::is_measuring() ? bytes_of_arguments(static_cast<Parameters>(arguments)...) : ""},
      fovea::cuda::current_stream(), [=, shared = grid.shared] {
        emulator::allow_dynamic_shared_memory(shared);
        kernel(static_cast<Parameters>(arguments)...);
      });
#endif
  fovea::cuda::check_cuda(cudaGetLastError(), operation, ": launch of ", grid.blocks.x, "x", grid.blocks.y,
                          "x", grid.blocks.z, " blocks of ", grid.threads.x, "x", grid.threads.y, "x",
                          grid.threads.z, " threads");
}

}  // namespace fovea::kernels::cuda
