#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/cuda/runtime.h"
#include "fovea/kernels/cuda/device_code.h"

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

/// Launches a kernel on the current stream; the one place where that is done. DeviceError that begins with
/// `operation` if it cannot be launched.
template <class... Parameters, class... Arguments>
void launch(const char* operation, void (*kernel)(Parameters...), const Grid& grid, Arguments... arguments) {
  start(operation, kernel, grid.blocks, grid.threads, grid.shared, static_cast<Parameters>(arguments)...);
  fovea::cuda::check_cuda(cudaGetLastError(), operation, ": launch of ", grid.blocks.x, "x", grid.blocks.y,
                          "x", grid.blocks.z, " blocks of ", grid.threads.x, "x", grid.threads.y, "x",
                          grid.threads.z, " threads");
}

}  // namespace fovea::kernels::cuda
