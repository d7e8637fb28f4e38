#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#pragma GCC visibility push(default)
namespace fovea {

/// How many threads parallel_for uses, if the system gives them: where it refuses to start one (RLIMIT_NPROC,
/// pids.max), those that are there do the work. At first what OMP_NUM_THREADS says, or as many as there are
/// processors that this process may run on and that the quota of its control groups (a container's) allows;
/// never more than OMP_THREAD_LIMIT.
int num_threads();
/// UsageError unless 1 <= count <= 1024.
void set_num_threads(int count);

namespace internal {
using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_for(int64_t count, int64_t grain, RangeBody body, void* context);
}  // namespace internal

/// Calls body(begin, end) for ranges that cover [0, count), none but the last shorter than half of `grain`. A
/// thread has consecutive ones, shorter and shorter, and in the end takes from those that have more left than
/// it: so none waits for one that was kept from its processor. Where ranges begin, and in which order they
/// come, changes from call to call: a result must not. So a reduction runs over chunks whose number comes
/// from the shape: parallel_for(chunks, 1, ...). The first exception of a body is thrown again in the caller.
/// A parallel_for inside a body, or beside that of another thread, runs serially.
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  internal::parallel_for(
      count, grain,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

/// While one lives, parallel_for runs serially on this thread: for a thread that works beside those which
/// compute, and must not start a second team of threads.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool before_;
};

/// For tests: while one lives, parallel_for ignores `grain`, so that small work is shared by threads too.
class NoGrain {
 public:
  NoGrain();
  ~NoGrain();
  NoGrain(const NoGrain&) = delete;
  NoGrain& operator=(const NoGrain&) = delete;
};

}  // namespace fovea
#pragma GCC visibility pop
