#include "fovea/core/parallel_for.h"

#include <algorithm>
#include <atomic>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fovea/core/check.h"

namespace fovea {
namespace {

int default_threads() {
#ifdef _OPENMP
  return std::max(1, omp_get_max_threads());
#else
  return 1;
#endif
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

/// How many NoGrain live.
std::atomic<int> grain_ignored{0};

/// Whether this thread runs the body of a parallel_for, or is in a SerialScope.
thread_local bool is_inside = false;

}  // namespace

int num_threads() {
  return thread_count();
}

void set_num_threads(int count) {
  check<UsageError>(count >= 1 && count <= 1024, "set_num_threads: ", count, " is not between 1 and 1024");
  thread_count() = count;
}

SerialScope::SerialScope() : before_(is_inside) {
  is_inside = true;
}
SerialScope::~SerialScope() {
  is_inside = before_;
}

void internal::parallel_for(int64_t count, int64_t grain, RangeBody body, void* context) {
  if (count <= 0) return;
  const int64_t shortest = grain_ignored > 0 ? 1 : std::max<int64_t>(grain, 1);
  const int64_t ranges_wanted = (count + shortest - 1) / shortest;
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), ranges_wanted));
  if (threads <= 1 || is_inside) {
    body(context, 0, count);
    return;
  }
#ifdef _OPENMP
  std::exception_ptr failure;
#pragma omp parallel num_threads(threads)
  {
    // The runtime may give fewer threads than were asked for.
    const int64_t team = omp_get_num_threads();
    const int64_t member = omp_get_thread_num();
    const int64_t begin = count * member / team;
    const int64_t end = count * (member + 1) / team;
    is_inside = true;
    try {
      if (begin < end) body(context, begin, end);
    } catch (...) {
#pragma omp critical(fovea_parallel_for)
      if (!failure) failure = std::current_exception();
    }
    is_inside = false;
  }
  if (failure) std::rethrow_exception(failure);
#else
  body(context, 0, count);
#endif
}

NoGrain::NoGrain() {
  ++grain_ignored;
}
NoGrain::~NoGrain() {
  --grain_ignored;
}

}  // namespace fovea
