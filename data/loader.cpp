#include "fovea/data/loader.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"

namespace fovea {
namespace {

constexpr size_t kAhead = 3;  // batches that wait for their call

struct Position {
  int64_t epoch = 0, batch = 0;
};

std::vector<int64_t> unshuffled_order(int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

int64_t batches_per_epoch(int64_t images, const LoaderSettings& settings) {
  const int64_t B = settings.batch_size;
  check<UsageError>(B >= 1, "Loader: the batch size is ", B, ", at least 1 is needed");
  check<UsageError>(settings.shares >= 1 && settings.share >= 0 && settings.share < settings.shares,
                    "Loader: share ", settings.share, " of ", settings.shares);
  check<UsageError>(settings.shares == 1 || (B % settings.shares == 0 && settings.drop_last),
                    "Loader: batches of ", B, " images, shared by ", settings.shares,
                    ": wanted a multiple, and whole batches alone");
  return settings.drop_last ? images / B : (images + B - 1) / B;
}

std::vector<int64_t> epoch_order(int64_t images, const LoaderSettings& settings, int64_t epoch) {
  check<UsageError>(epoch >= 0 && epoch <= std::numeric_limits<uint32_t>::max(), "Loader: epoch ", epoch,
                    ", wanted 0 to 2^32 - 1");
  if (!settings.shuffle) return unshuffled_order(images);
  return shuffled_order(images, settings.seed, static_cast<uint32_t>(epoch));
}

std::vector<int64_t> shuffled_order(int64_t count, uint64_t seed, uint32_t epoch) {
  check<UsageError>(count >= 0 && count <= std::numeric_limits<uint32_t>::max(), "shuffled_order: ", count,
                    " images, wanted 0 to 2^32 - 1");
  std::vector<int64_t> order = unshuffled_order(count);
  Random random(seed, Purpose::shuffle, epoch);
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
  return order;
}

/// The thread that prepares batches, and the queue between it and its caller.
class Loader::Worker {
 public:
  Worker(ImageSet set, const ImageNormalisation& normalisation, const LoaderSettings& settings)
      : set_(std::move(set)), normalisation_(normalisation), settings_(settings) {
    check<UsageError>(batches_per_epoch() >= 1, "Loader: ", set_.size(), " images of ", set_.name,
                      " fill no batch of ", settings_.batch_size,
                      "; take more images or a smaller batch size");
    if (!settings_.repeat && batches_per_epoch() == 1) return;  // it is prepared when it is asked for
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      throw OutOfMemory(str("Loader: no thread for its batches: ", error.what(),
                            "; raise the limits of memory and threads (ulimit -v, -u)"));
    }
  }

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  /// Whether this is the process that has its thread, if there is one.
  bool is_here() const { return !thread_.joinable() || process_ == getpid(); }

  int64_t batches_per_epoch() const {
    return fovea::batches_per_epoch(set_.labels.defined() ? set_.size() : 0, settings_);
  }

  void seek(int64_t epoch, int64_t batch) {
    check_is_here();
    check<UsageError>(epoch >= 0 && epoch <= std::numeric_limits<uint32_t>::max(), "Loader::seek: epoch ",
                      epoch, ", wanted 0 to 2^32 - 1");
    check<UsageError>(batch >= 0 && batch < batches_per_epoch(), "Loader::seek: batch ", batch,
                      ", wanted 0 to ", batches_per_epoch() - 1);
    {
      const std::lock_guard lock(mutex_);
      ready_.clear();
      failure_ = nullptr;
      position_ = {epoch, batch};
      ++seeks_;
    }
    changed_.notify_all();
  }

  Batch next() {
    check_is_here();
    std::unique_lock lock(mutex_);
    if (!thread_.joinable() && !is_at_end()) {
      Batch batch = prepare(position_);
      advance();
      return batch;
    }
    changed_.wait(lock, [&] { return !ready_.empty() || failure_ != nullptr || is_at_end(); });
    if (ready_.empty() && failure_ != nullptr) std::rethrow_exception(failure_);
    check<UsageError>(!ready_.empty(),
                      "Loader::next: the epoch is at its end, and is not to be repeated; seek first");
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }

 private:
  void check_is_here() const {
    check<UsageError>(is_here(), "Loader: made before fork, in process ", process_, ": process ", getpid(),
                      " does not have its thread; make the loader after the fork");
  }

  void run() {
    const SerialScope serial;  // the cores belong to the threads that compute
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] {
        return is_stopping_ || (failure_ == nullptr && ready_.size() < kAhead && !is_at_end());
      });
      if (is_stopping_) return;
      const Position position = position_;
      const int64_t seeks = seeks_;
      lock.unlock();
      Batch batch;
      std::exception_ptr failure;
      try {
        batch = prepare(position);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (seeks != seeks_) continue;  // nobody waits for this batch any more
      if (failure != nullptr) {
        failure_ = failure;
      } else {
        ready_.push_back(std::move(batch));
        advance();
      }
      changed_.notify_all();
    }
  }

  // Whether there is no next batch: of settings that do not repeat.
  bool is_at_end() const { return position_.batch == batches_per_epoch(); }

  void advance() {
    ++position_.batch;
    if (is_at_end() && settings_.repeat) position_ = {position_.epoch + 1, 0};
  }

  Batch prepare(const Position& position) {
    if (order_epoch_ != position.epoch) {
      order_ = epoch_order(set_.size(), settings_, position.epoch);
      order_epoch_ = position.epoch;
    }
    const int64_t begin = position.batch * settings_.batch_size;
    const int64_t end = std::min(begin + settings_.batch_size, set_.size());
    const std::span<const int64_t> indices(order_.data() + begin, static_cast<size_t>(end - begin));
    return make_batch(set_, indices, normalisation_, settings_.augmentation, settings_.seed,
                      static_cast<uint32_t>(position.epoch), position.batch, settings_.share,
                      settings_.shares);
  }

  const ImageSet set_;
  const ImageNormalisation normalisation_;
  const LoaderSettings settings_;
  const pid_t process_ = getpid();

  // Used by nobody but the thread that prepares: the order of epoch order_epoch_.
  std::vector<int64_t> order_;
  int64_t order_epoch_ = -1;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  Position position_;  // of the batch to prepare next
  std::exception_ptr failure_;
  int64_t seeks_ = 0;
  bool is_stopping_ = false;

  std::thread thread_;
};

void Loader::WorkerDeleter::operator()(Worker* worker) const noexcept {
  // A child process cannot wait for the end of a thread that it does not have: it leaves the whole to its
  // end.
  if (worker->is_here()) delete worker;
}

Loader::Loader(ImageSet set, const ImageNormalisation& normalisation, const LoaderSettings& settings)
    : worker_(new Worker(std::move(set), normalisation, settings)) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

int64_t Loader::batches_per_epoch() const {
  return worker_->batches_per_epoch();
}
void Loader::seek(int64_t epoch, int64_t batch) {
  worker_->seek(epoch, batch);
}
Batch Loader::next() {
  return worker_->next();
}

}  // namespace fovea
