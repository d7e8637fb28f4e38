#pragma once

namespace fovea::kernels::cpu::onednn {

/// While one lives, this thread is in oneDNN, which is not safe against allocations that fail: it constructs
/// its objects at the null pointer that it gets, or takes an implementation that gives other bits. A program
/// that replaces the C library's functions can ask for that, and throw std::bad_alloc, which goes through
/// oneDNN as through any other code (tools/cifar_trainer/onednn_allocation.cpp).
class MemoryScope {
 public:
  MemoryScope() : before_(is_inside_) { is_inside_ = true; }
  ~MemoryScope() { is_inside_ = before_; }
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  /// Whether one of this thread lives.
  static bool is_inside() { return is_inside_; }

 private:
  static thread_local bool is_inside_;
  bool before_;
};

/// std::bad_alloc unless there is memory for what oneDNN makes of one problem, several times over.
void check_room();

}  // namespace fovea::kernels::cpu::onednn
