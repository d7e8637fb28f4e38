#pragma once

#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "fovea/kernels/cuda/device_code.h"

namespace fovea::kernels::cuda {

/// kernels/cuda/async_copy.h for the emulator.
class AsyncCopies {
 public:
  void copy(void* shared, const void* global, bool is_there) {
    check(reinterpret_cast<uintptr_t>(shared) % 16 == 0 && reinterpret_cast<uintptr_t>(global) % 16 == 0,
          "a kernel: a copy of 16 bytes is not aligned");
    group_.push_back({shared, is_there ? global : nullptr});
  }
  void commit() {
    groups_.push_back(std::move(group_));
    group_.clear();
  }
  template <int kLeft>
  void wait() {
    for (; groups_.size() > kLeft; groups_.pop_front()) {
      for (const auto& [to, from] : groups_.front()) {
        if (from != nullptr) {
          std::memcpy(to, from, 16);
        } else {
          std::memset(to, 0, 16);
        }
      }
    }
  }

 private:
  // Copied as late as a device may do it, so that a missing wait shows.
  struct Copy {
    void* to;
    const void* from;
  };
  std::vector<Copy> group_;
  std::deque<std::vector<Copy>> groups_;
};

}  // namespace fovea::kernels::cuda
