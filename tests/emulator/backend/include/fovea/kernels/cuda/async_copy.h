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
    const Copy copy{shared, is_there ? global : nullptr};
    if (emulator::capability().major < 8) return run(copy);
    group_.push_back(copy);
  }
  void commit() {
    groups_.push_back(std::move(group_));
    group_.clear();
  }
  template <int kLeft>
  void wait() {
    for (; groups_.size() > kLeft; groups_.pop_front()) {
      for (const Copy& copy : groups_.front()) run(copy);
    }
  }

 private:
  // Copied as late as a device may do it, so that a missing wait shows.
  struct Copy {
    void* to;
    const void* from;
  };
  static void run(const Copy& copy) {
    if (copy.from != nullptr) {
      std::memcpy(copy.to, copy.from, 16);
    } else {
      std::memset(copy.to, 0, 16);
    }
  }
  std::vector<Copy> group_;
  std::deque<std::vector<Copy>> groups_;
};

}  // namespace fovea::kernels::cuda
