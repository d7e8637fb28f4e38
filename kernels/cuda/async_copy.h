#pragma once

#include <cstring>
#ifndef __CUDACC__
#include <array>
#include <deque>
#include <vector>
#endif

#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {

/// A thread's copies of 16 bytes from global into shared memory, for which it does not wait (PTX ISA,
/// "cp.async"; compute capability 8.0). What a thread has copied it may read after wait(), other threads
/// after a barrier that follows. Both addresses are aligned to 16 bytes.
class AsyncCopies {
 public:
  /// Zeros where `is_there` is false: `global` is not read, but must be an address of device memory.
  __device__ void copy(void* shared, const void* global, bool is_there) {
#ifdef __CUDACC__
    const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(address), "l"(global), "r"(is_there ? 16 : 0)
                 : "memory");
#else
    check(reinterpret_cast<uintptr_t>(shared) % 16 == 0 && reinterpret_cast<uintptr_t>(global) % 16 == 0,
          "a kernel: a copy of 16 bytes is not aligned");
    group_.push_back({shared, is_there ? global : nullptr});
#endif
  }
  /// The copies since the last commit are a group.
  __device__ void commit() {
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;" : : : "memory");
#else
    groups_.push_back(std::move(group_));
    group_.clear();
#endif
  }
  /// Waits for all groups but the last kLeft.
  template <int kLeft>
  __device__ void wait() {
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;" : : "n"(kLeft) : "memory");
#else
    for (; groups_.size() > kLeft; groups_.pop_front()) {
      for (const auto& [to, from] : groups_.front()) {
        if (from != nullptr) {
          std::memcpy(to, from, 16);
        } else {
          std::memset(to, 0, 16);
        }
      }
    }
#endif
  }

#ifndef __CUDACC__
 private:
  // Copied as late as a device may do it, so that a missing wait shows.
  struct Copy {
    void* to;
    const void* from;
  };
  std::vector<Copy> group_;
  std::deque<std::vector<Copy>> groups_;
#endif
};

}  // namespace fovea::kernels::cuda
