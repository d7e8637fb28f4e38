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
constinit thread_local int multiply_add_counters = 0;

struct RunningCall {
  KernelCall call;
  bool is_kept = false;              // when it ends; else only multiply-adds are counted
  std::vector<const void*> counted;  // where the tensors begin whose bytes it counts
  double inner_seconds = 0;
  int64_t inner_multiply_adds = 0;
  RunningCall* caller = nullptr;

  bool counts(const void* address) const {
    return std::find(counted.begin(), counted.end(), address) != counted.end();
  }
};

namespace {

thread_local RunningCall* innermost = nullptr;
thread_local int64_t counted_multiply_adds = 0;

bool is_counted(const RunningCall* call, const void* address) {
  for (; call != nullptr; call = call->caller) {
    if (call->counts(address)) return true;
  }
  return false;
}

}  // namespace

RunningCall* begin_call(const char* name, const std::vector<const Tensor*>& tensors, int64_t multiply_adds) {
  auto running = std::make_unique<RunningCall>();
  running->call.name = name;
  running->call.multiply_adds = multiply_adds;
  running->is_kept = is_profiling();
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
  if (running->is_kept) {
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
  // A kernel may be made of others that do more than it must.
  const int64_t all = std::max(call.multiply_adds, running->inner_multiply_adds);
  call.multiply_adds = all - running->inner_multiply_adds;
  counted_multiply_adds += call.multiply_adds;
  innermost = running->caller;
  if (innermost != nullptr) {
    innermost->inner_seconds += call.seconds;
    innermost->inner_multiply_adds += all;
  }
  if (!running->is_kept) return;
  const std::lock_guard lock(calls().mutex);
  --calls().running;
  calls().ended.push_back(std::move(call));
}

}  // namespace internal

MultiplyAddCounter::MultiplyAddCounter() : begin_(internal::counted_multiply_adds) {
  ++internal::multiply_add_counters;
}
MultiplyAddCounter::~MultiplyAddCounter() {
  --internal::multiply_add_counters;
}
int64_t MultiplyAddCounter::count() const {
  return internal::counted_multiply_adds - begin_;
}

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
