#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// One call of a kernel, as it was measured.
struct KernelCall {
  std::string name;
  std::string shapes;  // of its tensors, vectors only where there is nothing larger: "f32[64, 8, 8, 16]"
  int64_t bytes = 0;   // what must be moved: its tensors, each storage once, none that a caller counts
  int64_t multiply_adds = 0;  // of convolutions and matrix products, without those of the kernels it called
  double begin = 0;           // in seconds, on a clock that all calls share
  double seconds = 0;         // until it returned; on a CUDA device until it was done
  double self_seconds = 0;    // without the kernels that it called
  int thread = 0;             // which of the threads that call kernels: 0, 1, ...
};

/// Turns the measuring of kernels, copies and fills on (forgetting earlier measurements) or off. Each call is
/// kept: measure some steps, not a whole training. On a CUDA device each call is waited for, so that nothing
/// can be captured meanwhile.
void set_profiling(bool on);
/// The calls measured since profiling was turned on, in the order in which they ended.
std::vector<KernelCall> profiled_calls();
/// The thread that calls this, as KernelCall numbers it.
int profiled_thread();
/// The clock of KernelCall::begin.
double profile_clock();

namespace internal {
extern std::atomic<bool> profiling;
extern constinit thread_local int multiply_add_counters;  // that live on this thread
struct RunningCall;
RunningCall* begin_call(const char* name, const std::vector<const Tensor*>& tensors, int64_t multiply_adds);
void end_call(RunningCall* call);
}  // namespace internal

/// Whether kernels are measured; one relaxed load.
inline bool is_profiling() {
  return internal::profiling.load(std::memory_order_relaxed);
}

/// Counts the multiply-adds of the kernels that its thread calls while it lives; belongs to that thread.
class MultiplyAddCounter {
 public:
  MultiplyAddCounter();
  ~MultiplyAddCounter();
  int64_t count() const;
  MultiplyAddCounter(const MultiplyAddCounter&) = delete;
  MultiplyAddCounter& operator=(const MultiplyAddCounter&) = delete;

 private:
  int64_t begin_;
};

/// Measures its own life as a call of the kernel `name` while profiling is on or this thread counts
/// multiply-adds; costs two loads otherwise. `for_each_tensor(visit)` calls visit(tensor) for what the kernel
/// reads and writes; `multiply_adds()` is how often it multiplies and adds, together with those that it
/// calls.
class ProfileScope {
 public:
  template <class ForEachTensor, class MultiplyAdds>
  ProfileScope(const char* name, const ForEachTensor& for_each_tensor, const MultiplyAdds& multiply_adds) {
    is_on_ = is_profiling();
    if (!is_on_ && internal::multiply_add_counters == 0) return;
    std::vector<const Tensor*> tensors;
    for_each_tensor([&](const Tensor& tensor) { tensors.push_back(&tensor); });
    call_ = internal::begin_call(name, tensors, multiply_adds());
  }
  template <class ForEachTensor>
  ProfileScope(const char* name, const ForEachTensor& for_each_tensor)
      : ProfileScope(name, for_each_tensor, [] { return int64_t{0}; }) {}
  ~ProfileScope() {
    if (call_ != nullptr) internal::end_call(call_);
  }
  /// Whether it is profiled.
  bool is_on() const { return is_on_; }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  internal::RunningCall* call_ = nullptr;
  bool is_on_ = false;
};

}  // namespace fovea
#pragma GCC visibility pop
