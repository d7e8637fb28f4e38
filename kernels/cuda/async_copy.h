#pragma once

#include "fovea/kernels/cuda/device_code.h"

namespace fovea::kernels::cuda {

/// A thread's copies of 16 bytes from global into shared memory, for which it does not wait (PTX ISA,
/// "cp.async"; before compute capability 8.0 a load and a store). What a thread has copied it may read after
/// wait(), other threads after a barrier that follows. Both addresses are aligned to 16 bytes.
class AsyncCopies {
 public:
  /// Zeros where `is_there` is false: `global` is not read, but must be an address of device memory.
  __device__ void copy(void* shared, const void* global, bool is_there) {
#if __CUDA_ARCH__ < 800
    store_as(shared, is_there ? load_as<uint4>(global) : uint4{});
#else
    const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(address), "l"(global), "r"(is_there ? 16 : 0)
                 : "memory");
#endif
  }
  /// The copies since the last commit are a group.
  __device__ void commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" : : : "memory");
#endif
  }
  /// Waits for all groups but the last kLeft.
  template <int kLeft>
  __device__ void wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" : : "n"(kLeft) : "memory");
#endif
  }
};

}  // namespace fovea::kernels::cuda
