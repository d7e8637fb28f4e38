#include "fovea/core/parallel_for.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fovea/core/check.h"
#include "run_program.h"

using namespace fovea;

namespace {

/// Sets the number of threads for the life of a test.
struct Threads {
  explicit Threads(int count) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  int before = num_threads();
};

class ThreadsSeen {
 public:
  void add_this() {
    const std::lock_guard lock(mutex_);
    ids_.insert(std::this_thread::get_id());
  }
  size_t count() const {
    const std::lock_guard lock(mutex_);
    return ids_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::thread::id> ids_;
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

TEST_CASE("parallel_for: no range but the last is shorter than half of the grain") {
  const Threads scope(4);
  std::mutex mutex;
  std::map<int64_t, int64_t> ranges;  // their ends, by begin
  const auto run = [&](int64_t count, int64_t grain) {
    ranges.clear();
    parallel_for(count, grain, [&](int64_t begin, int64_t end) {
      const std::lock_guard lock(mutex);
      ranges[begin] = end;
    });
    return ranges.size();
  };
  for (const int64_t grain : {1, 7, 50, 99}) {
    run(100, grain);
    for (const auto& [begin, end] : ranges) CHECK((2 * (end - begin) >= grain || end == 100));
  }
  CHECK(run(100, 1) >= 4);
  CHECK(run(100, 50) == 2);
  CHECK(run(100, 100) == 1);
  const NoGrain no_grain;
  CHECK(run(100, 100) >= 4);
}

TEST_CASE("parallel_for: uses other threads") {
  const Threads scope(3);
  ThreadsSeen seen;
  parallel_for(3, 1, [&](int64_t, int64_t) {
    seen.add_this();
    while (seen.count() < 3) std::this_thread::yield();
  });
  CHECK(seen.count() == 3);
}

TEST_CASE("parallel_for: what a thread does not come to others do") {
  const Threads scope(3);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int64_t> done{0};
    parallel_for(300, 1, [&](int64_t begin, int64_t end) {
      // The thread that has index 0 does not go on before the others have done all but its range.
      if (begin == 0) {
        while (done < 300 - end) std::this_thread::yield();
      }
      done += end - begin;
    });
    CHECK(done == 300);
  }
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

TEST_CASE("parallel_for: where the system gives no more threads, those that are there do the work") {
  const Outcome outcome = run_program({this_program(), "[no-more-threads]"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
}

TEST_CASE("parallel_for: in a process that may start two threads", "[.][no-more-threads]") {
  // Memory for two stacks of 64 MiB and not for three: as RLIMIT_NPROC, which does not hold for root.
  const rlimit stack{64 << 20, 64 << 20};
  REQUIRE(setrlimit(RLIMIT_STACK, &stack) == 0);
  pthread_attr_t attributes;
  REQUIRE(pthread_getattr_default_np(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, 64 << 20) == 0);
  REQUIRE(pthread_setattr_default_np(&attributes) == 0);
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  REQUIRE(statm >> pages);
  const rlim_t bytes = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (160 << 20);
  const rlimit memory{bytes, bytes};
  REQUIRE(setrlimit(RLIMIT_AS, &memory) == 0);
  const Threads scope(8);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> visits(100);
    ThreadsSeen seen;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) {
      seen.add_this();
      while (seen.count() < 2) std::this_thread::yield();
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    REQUIRE(std::all_of(visits.begin(), visits.end(), [](const auto& visit) { return visit == 1; }));
    REQUIRE(seen.count() < 8);
  }
}

TEST_CASE("parallel_for: begins with as many threads as the environment says", "[.][three-threads]") {
  CHECK(num_threads() == 3);
}

TEST_CASE("set_num_threads: counts that make no sense are usage errors") {
  CHECK_THROWS_AS(set_num_threads(0), UsageError);
  CHECK_THROWS_AS(set_num_threads(-1), UsageError);
  CHECK_THROWS_AS(set_num_threads(1025), UsageError);
  const Threads scope(5);
  CHECK(num_threads() == 5);
}
