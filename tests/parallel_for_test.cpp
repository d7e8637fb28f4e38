#include "fovea/core/parallel_for.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fovea/core/check.h"

using namespace fovea;

namespace {

/// Sets the number of threads for the life of a test.
struct Threads {
  explicit Threads(int count) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  int before = num_threads();
};

}  // namespace

TEST_CASE("parallel_for: visits every index once") {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads scope(threads);
    for (const int64_t count : {0, 1, 2, 7, 8, 9, 1000}) {
      for (const int64_t grain : {0, 1, 3, 2000}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& visit) { return visit == 1; }));
      }
    }
  }
}

TEST_CASE("parallel_for: an empty count calls nothing") {
  parallel_for(0, 1, [](int64_t, int64_t) { FAIL("called"); });
  parallel_for(-1, 1, [](int64_t, int64_t) { FAIL("called"); });
}

TEST_CASE("parallel_for: ranges are as many as threads, but not shorter than the grain") {
  const Threads scope(4);
  std::mutex mutex;
  const auto ranges = [&](int64_t count, int64_t grain) {
    int64_t total = 0;
    parallel_for(count, grain, [&](int64_t, int64_t) {
      const std::lock_guard lock(mutex);
      ++total;
    });
    return total;
  };
  CHECK(ranges(100, 1) == 4);
  CHECK(ranges(100, 50) == 2);
  CHECK(ranges(100, 100) == 1);
  const NoGrain no_grain;
  CHECK(ranges(100, 100) == 4);
}

TEST_CASE("parallel_for: uses other threads") {
  const Threads scope(3);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for(3, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  CHECK(seen.size() == 3);
}

TEST_CASE("parallel_for: a thread that has slept may still run on every processor") {
  const auto processors = [] {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    return allowed;
  };
  const Threads scope(2);
  const cpu_set_t before = processors();
  REQUIRE(CPU_COUNT(&before) > 0);
  std::atomic<int> others{0};
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the others fall asleep
    parallel_for(2, 1, [&](int64_t, int64_t) {
      const cpu_set_t now = processors();
      if (!CPU_EQUAL(&now, &before)) ++others;
    });
  }
  CHECK(others == 0);
}

TEST_CASE("parallel_for: an exception reaches the caller, and the next loop works") {
  for (const int threads : {1, 2, 4}) {
    const Threads scope(threads);
    const auto fail_at = [](int64_t bad) {
      parallel_for(100, 1, [bad](int64_t begin, int64_t end) {
        if (begin <= bad && bad < end) throw std::out_of_range("index " + std::to_string(bad));
      });
    };
    CHECK_THROWS_WITH(fail_at(0), "index 0");
    CHECK_THROWS_AS(fail_at(99), std::out_of_range);
    std::atomic<int64_t> visited{0};
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { visited += end - begin; });
    CHECK(visited == 100);
  }
}

TEST_CASE("parallel_for: inside a body it runs serially") {
  const Threads scope(4);
  std::atomic<int> inner_ranges{0};
  std::atomic<int64_t> visited{0};
  parallel_for(4, 1, [&](int64_t, int64_t) {
    parallel_for(100, 1, [&](int64_t begin, int64_t end) {
      ++inner_ranges;
      visited += end - begin;
    });
  });
  CHECK(inner_ranges == 4);
  CHECK(visited == 400);
}

TEST_CASE("parallel_for: runs serially in a SerialScope") {
  const Threads scope(4);
  const SerialScope serial;
  const std::thread::id caller = std::this_thread::get_id();
  int ranges = 0;
  parallel_for(100, 1, [&](int64_t, int64_t) {
    ++ranges;
    CHECK(std::this_thread::get_id() == caller);
  });
  CHECK(ranges == 1);
}

TEST_CASE("set_num_threads: counts that make no sense are usage errors") {
  CHECK_THROWS_AS(set_num_threads(0), UsageError);
  CHECK_THROWS_AS(set_num_threads(-1), UsageError);
  CHECK_THROWS_AS(set_num_threads(1025), UsageError);
  const Threads scope(5);
  CHECK(num_threads() == 5);
}
