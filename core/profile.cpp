#include "fovea/core/profile.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "fovea/core/fork.h"

namespace fovea {
namespace {

struct Calls {
  std::mutex mutex;
  std::vector<KernelCall> ended;
  size_t running = 0;

  /// So that a call can end, in a destructor, without asking for memory.
  void make_room_for_one() {
    const size_t needed = ended.size() + running + 1;
    if (ended.capacity() < needed) ended.reserve(2 * needed);
    ++running;
  }
};

Calls& calls() {
  static auto* all = new Calls;
  return *all;
}

const ForkLock fork_lock{ForkOrder::profile, [] { calls().mutex.lock(); }, [] { calls().mutex.unlock(); }};

}  // namespace

namespace internal {

std::atomic<bool> profiling{false};

struct RunningCall {
  KernelCall call;
  std::vector<const void*> counted;  // where the tensors begin whose bytes it counts
  double inner_seconds = 0;
  RunningCall* caller = nullptr;

  bool counts(const void* address) const {
    return std::find(counted.begin(), counted.end(), address) != counted.end();
  }
};

namespace {

thread_local RunningCall* innermost = nullptr;

bool is_counted(const RunningCall* call, const void* address) {
  for (; call != nullptr; call = call->caller) {
    if (call->counts(address)) return true;
  }
  return false;
}

}  // namespace

RunningCall* begin_call(const char* name, const std::vector<const Tensor*>& tensors) {
  auto running = std::make_unique<RunningCall>();
  running->call.name = name;
  running->caller = innermost;
  const bool has_larger = std::any_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) {
    return tensor->defined() && tensor->rank() > 1;
  });
  for (const Tensor* tensor : tensors) {
    if (!tensor->defined()) continue;
    if (tensor->rank() > 1 || !has_larger) {
      running->call.shapes += (running->call.shapes.empty() ? "" : ", ") + tensor->str();
    }
    if (is_counted(running.get(), tensor->raw())) continue;
    running->counted.push_back(tensor->raw());
    running->call.bytes += static_cast<int64_t>(tensor->bytes());
  }
  running->call.thread = profiled_thread();
  {
    const std::lock_guard lock(calls().mutex);
    calls().make_room_for_one();
  }
  innermost = running.get();
  running->call.begin = profile_clock();
  return running.release();
}

void end_call(RunningCall* running) {
  const std::unique_ptr<RunningCall> owner(running);
  KernelCall& call = running->call;
  call.seconds = profile_clock() - call.begin;
  call.self_seconds = call.seconds - running->inner_seconds;
  innermost = running->caller;
  if (innermost != nullptr) innermost->inner_seconds += call.seconds;
  const std::lock_guard lock(calls().mutex);
  --calls().running;
  calls().ended.push_back(std::move(call));
}

void add_multiply_adds(int64_t count) {
  if (innermost != nullptr) innermost->call.multiply_adds += count;
}

}  // namespace internal

void set_profiling(bool on) {
  if (on) {
    const std::lock_guard lock(calls().mutex);
    calls().ended.clear();
  }
  internal::profiling = on;
}

std::vector<KernelCall> profiled_calls() {
  const std::lock_guard lock(calls().mutex);
  return calls().ended;
}

int profiled_thread() {
  static std::atomic<int> threads{0};
  thread_local const int own = threads++;
  return own;
}

double profile_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace fovea
