#include "fovea/core/parallel_for.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fovea/core/check.h"
#include "fovea/core/cpu_quota.h"
#include "fovea/core/environment.h"

namespace fovea {
namespace {

/// Read once: it is in files.
std::optional<double> quota() {
  static const std::optional<double> found = cpu_quota();
  return found;
}

/// OMP_NUM_THREADS, or the processors that this process may run on, as far as its control groups' quota of
/// their time goes; OMP_THREAD_LIMIT at most.
int default_threads() {
#ifdef _OPENMP
  const int most = std::max(1, std::min(omp_get_max_threads(), omp_get_thread_limit()));
  return environment("OMP_NUM_THREADS").empty() ? threads_within(most, quota()) : most;
#else
  return 1;
#endif
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

/// Asked when the program starts: inside a call of a library OpenMP may be set to one thread for a while.
[[maybe_unused]] const int threads_at_start = thread_count();

const int processors = threads_within(static_cast<int>(std::thread::hardware_concurrency()), quota());

/// How many NoGrain live.
std::atomic<int> grain_ignored{0};

/// Whether this thread runs the body of a parallel_for, or is in a SerialScope.
thread_local bool is_inside = false;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Rounds of waiting before a thread sleeps: 0.2 to 0.5 milliseconds where the `members` that compute have a
/// processor each, which is longer than what one does between two kernels, and a tenth of it where they wait
/// for each other's.
int spins_of(int members) {
  return members <= processors ? 20000 : 2000;
}

/// Returns true when the value is no longer `old`, or false after so many rounds.
bool spin_until_changed(const std::atomic<uint32_t>& value, uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return true;
    pause();
  }
  return false;
}

/// Moves this thread away from `processor`, that of the thread which has woken it, if the `members` that
/// compute can have one each. The system tends to wake a thread beside its waker, and takes some 30 ms to
/// see that both are busy (two threads on Linux 6.18: the first inference of attention92 after a pause of
/// two seconds took 63 to 82 ms instead of 42).
void leave(int processor, int members) {
  if (sched_getcpu() != processor) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < members) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(processor), &others);
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

/// Consecutive parts of the work of a parallel_for.
struct Units {
  uint32_t begin = 0, end = 0;
  uint32_t count() const { return end - begin; }
};

/// What a member of the pool has still to do: some consecutive units, as two halves of a word.
class alignas(64) Share {
 public:
  /// Only by the member itself, or while nobody works.
  void set(Units units) { word_.store(packed(units), std::memory_order_relaxed); }
  /// Half of it, from its begin, for the member itself.
  Units take() {
    return remove([](Units all) { return Units{all.begin, all.begin + (all.count() + 1) / 2}; });
  }
  /// Half of it, from its end, for another member.
  Units give() {
    return remove([](Units all) { return Units{all.end - (all.count() + 1) / 2, all.end}; });
  }

 private:
  static uint64_t packed(Units units) { return uint64_t{units.begin} << 32 | units.end; }

  /// Nothing if there is nothing; a part that begins or ends where all does.
  template <class Part>
  Units remove(Part&& part_of) {
    uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const Units all{static_cast<uint32_t>(word >> 32), static_cast<uint32_t>(word)};
      if (all.count() == 0) return {};
      const Units part = part_of(all);
      const Units rest = part.begin == all.begin ? Units{part.end, all.end} : Units{all.begin, part.begin};
      if (word_.compare_exchange_weak(word, packed(rest), std::memory_order_relaxed)) return part;
    }
  }

  std::atomic<uint64_t> word_{0};
};

/// The threads behind parallel_for. A thread that waits first spins (see spins_of) and then sleeps: waking it
/// takes long where the machine is a virtual one. Ten times shorter spinning made inference and training of
/// attention92 at batch 32 3% slower, and beside two busy processes inference took 183 instead of 134 ms.
/// OpenMP's own threads spin for milliseconds: beside other busy processes a training step took six times as
/// long as with OpenMP's threads told to sleep.
class ThreadPool {
 public:
  using Work = void (*)(void* context, Units units);

  /// The pool of this process. It is never destroyed; a child process made by fork gets a new one, or null
  /// if there is no memory for it.
  static ThreadPool* instance();

  /// Calls work(context, part) for parts of [0, units), on this thread and others, and returns when all have
  /// ended. There are fewer threads than wanted where the system gives no more, or no memory for them. `work`
  /// must not throw. False, and nothing was called, if another thread is using the pool.
  bool try_run(int wanted, uint32_t units, Work work, void* context);

 private:
  /// A thread that waits until its ticket changes.
  struct Worker {
    std::atomic<uint32_t> ticket{0};
    Share share;
    std::thread thread;
  };
  void serve(Worker& worker, int member);
  /// Starts workers until there are `wanted`, or as many as the system allows; returns how many there are.
  int workers_of(int wanted);
  Share& share_of(int member) {
    return member == 0 ? own_share_ : workers_[static_cast<size_t>(member - 1)]->share;
  }
  /// Works until there is nothing left that nobody has taken: first a member's own share, then what others
  /// have left.
  void run(int member);

  static constexpr int kMostFailures = 100;  // to start a thread, before it is not tried any more

  std::mutex in_use_;
  std::vector<std::unique_ptr<Worker>> workers_;  // members 1, 2, ...
  int failures_ = 0;
  Share own_share_;  // of member 0
  Work work_ = nullptr;
  void* context_ = nullptr;
  int members_ = 0;
  int processor_ = 0;  // of the thread that has called try_run
  std::atomic<uint32_t> unfinished_{0};
};

std::atomic<ThreadPool*> current_pool{nullptr};

ThreadPool* ThreadPool::instance() {
  static const bool is_ready = [] {
    current_pool = new ThreadPool;
    // The threads of a pool do not live on in a child process.
    pthread_atfork(nullptr, nullptr, [] { current_pool = new (std::nothrow) ThreadPool; });
    return true;
  }();
  static_cast<void>(is_ready);
  return current_pool;
}

/// Made when the program starts: a fork while another thread makes it would leave the child waiting for it.
[[maybe_unused]] const ThreadPool* pool_at_start = ThreadPool::instance();

int ThreadPool::workers_of(int wanted) {
  try {
    while (static_cast<int>(workers_.size()) < wanted && failures_ < kMostFailures) {
      workers_.reserve(workers_.size() + 1);
      auto worker = std::make_unique<Worker>();
      const int member = static_cast<int>(workers_.size()) + 1;
      worker->thread = std::thread([this, &worker = *worker, member] { serve(worker, member); });
      workers_.push_back(std::move(worker));
    }
  } catch (const std::exception&) {
    ++failures_;  // of RLIMIT_NPROC, of a container's pids.max, or of memory: those that are there serve
  }
  return std::min(wanted, static_cast<int>(workers_.size()));
}

bool ThreadPool::try_run(int wanted, uint32_t units, Work work, void* context) {
  const std::unique_lock lock(in_use_, std::try_to_lock);
  if (!lock) return false;
  const int members = 1 + workers_of(wanted - 1);
  work_ = work;
  context_ = context;
  members_ = members;
  processor_ = sched_getcpu();
  unfinished_.store(static_cast<uint32_t>(members - 1), std::memory_order_relaxed);
  const auto begin_of = [=](int member) {
    return static_cast<uint32_t>(uint64_t{units} * static_cast<uint64_t>(member) /
                                 static_cast<uint64_t>(members));
  };
  for (int member = 0; member < members; ++member) {
    share_of(member).set({begin_of(member), begin_of(member + 1)});
  }
  for (int member = 1; member < members; ++member) {
    Worker& worker = *workers_[static_cast<size_t>(member - 1)];
    worker.ticket.fetch_add(1, std::memory_order_release);
    worker.ticket.notify_one();
  }
  run(0);
  for (uint32_t left = unfinished_.load(std::memory_order_acquire); left != 0;) {
    if (!spin_until_changed(unfinished_, left, spins_of(members)))
      unfinished_.wait(left, std::memory_order_acquire);
    left = unfinished_.load(std::memory_order_acquire);
  }
  return true;
}

void ThreadPool::serve(Worker& worker, int member) {
#ifdef _OPENMP
  omp_set_num_threads(1);  // for the libraries called from a body: they must not start teams of their own
#endif
  for (uint32_t ticket = 0;;) {
    // A new ticket comes only after all members have ended the work before.
    if (!spin_until_changed(worker.ticket, ticket, spins_of(member + 1))) {
      worker.ticket.wait(ticket, std::memory_order_acquire);
      leave(processor_, members_);
    }
    ticket = worker.ticket.load(std::memory_order_acquire);
    run(member);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

void ThreadPool::run(int member) {
  Share& own = share_of(member);
  for (;;) {
    for (Units part = own.take(); part.count() > 0; part = own.take()) work_(context_, part);
    Units found;
    for (int i = 1; i < members_ && found.count() == 0; ++i) found = share_of((member + i) % members_).give();
    if (found.count() == 0) return;
    // Half of it at once: what is in a share may be gone before its owner comes to it.
    const uint32_t middle = found.begin + (found.count() + 1) / 2;
    own.set({middle, found.end});
    work_(context_, {found.begin, middle});
  }
}

/// One parallel_for: its body for ranges of whole units, and the first exception.
struct Loop {
  int64_t count, unit;
  internal::RangeBody body;
  void* context;
  std::mutex mutex{};
  std::exception_ptr failure{};

  void run(Units units) {
    const SerialScope scope;
    try {
      body(context, units.begin * unit, std::min(count, units.end * unit));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  }
};

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
  constexpr int64_t kMostUnits = int64_t{1} << 30;
  const int64_t shortest = grain_ignored > 0 ? 1 : std::max<int64_t>(grain, 1);
  const int64_t grains = (count + shortest - 1) / shortest;
  const int64_t threads = std::min<int64_t>(num_threads(), grains);
  // Few grains cannot be shared evenly, nor are they worth taking from each other.
  constexpr int64_t kFewGrains = 4;  // of a thread
  const bool are_few = shortest > 1 && grains < kFewGrains * threads;
  const int64_t unit =
      std::max(are_few ? (count + threads - 1) / threads : shortest, (count + kMostUnits - 1) / kMostUnits);
  const int64_t units = (count + unit - 1) / unit;
  if (threads <= 1 || is_inside) {
    body(context, 0, count);
    return;
  }
  Loop loop{count, unit, body, context};
  const auto work = [](void* shared, Units part) { static_cast<Loop*>(shared)->run(part); };
  ThreadPool* pool = ThreadPool::instance();
  if (pool == nullptr || !pool->try_run(static_cast<int>(threads), static_cast<uint32_t>(units), work, &loop))
    body(context, 0, count);
  if (loop.failure) std::rethrow_exception(loop.failure);
}

NoGrain::NoGrain() {
  ++grain_ignored;
}
NoGrain::~NoGrain() {
  --grain_ignored;
}

}  // namespace fovea
