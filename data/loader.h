#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fovea/data/augment.h"
#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Which batches a Loader makes.
struct LoaderSettings {
  int64_t batch_size = 128;
  bool shuffle = true;                         // another order in each epoch
  std::optional<Augmentation> augmentation{};  // none: the images as they are
  bool drop_last = true;                       // leave out the last images of an epoch that fill no batch
  uint64_t seed = 1;
  bool repeat = true;  // epoch after epoch; false: only that of the last seek (0 at first)
  int64_t share = 0;   // of every batch only this one of `shares` parts of equal size, in order
  int64_t shares = 1;
};

/// How many batches an epoch of `images` images has.
int64_t batches_per_epoch(int64_t images, const LoaderSettings& settings);
/// The order in which an epoch visits `images` images: shuffled_order, or 0, 1, ...
std::vector<int64_t> epoch_order(int64_t images, const LoaderSettings& settings, int64_t epoch);

/// Gives the batches of epoch after epoch. A thread of its own prepares the next few; there is none where a
/// single batch is all that there is. Batch b of epoch e depends on (set, settings, e, b) alone, so seeking
/// there gives the same bits as getting there. The thread stays behind when the process forks: in the child
/// the loader gives a UsageError, and a new one works.
class Loader {
 public:
  /// UsageError if the set has not even one batch.
  Loader(ImageSet set, const ImageNormalisation& normalisation, const LoaderSettings& settings);
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  int64_t batches_per_epoch() const;
  /// Makes batch `batch` of epoch `epoch` the next one.
  void seek(int64_t epoch, int64_t batch);
  /// The next batch. Throws what went wrong while preparing it, here and on every call until a seek;
  /// UsageError at the end of an epoch that is not to be repeated.
  Batch next();

 private:
  class Worker;
  struct WorkerDeleter {
    void operator()(Worker* worker) const noexcept;
  };
  std::unique_ptr<Worker, WorkerDeleter> worker_;
};

/// The order in which an epoch visits `count` images: a Fisher-Yates shuffle keyed by (seed, epoch).
std::vector<int64_t> shuffled_order(int64_t count, uint64_t seed, uint32_t epoch);

}  // namespace fovea
#pragma GCC visibility pop
