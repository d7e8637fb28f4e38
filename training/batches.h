#pragma once

#include <cstdint>
#include <optional>

#include "fovea/data/loader.h"
#include "fovea/layers/module.h"

namespace fovea {

/// The batches of a set of images where a model computes, in its dtype. On the CPU a thread prepares the next
/// ones. On a device the images lie as bytes, and one kernel makes a batch of them, from numbers that lie
/// there as well, so that making it can be captured. The same batches in both cases, to the bit in f32.
class Batches {
 public:
  /// Begins with epoch 0. Settings as of a Loader; see LoaderSettings::repeat.
  Batches(const ImageSet& set, const ImageNormalisation& normalisation, const LoaderSettings& settings,
          Place place);

  /// How many an epoch has.
  int64_t per_epoch() const { return per_epoch_; }
  /// Makes batch `first` of an epoch the next one.
  void begin_epoch(int64_t epoch, int64_t first = 0);
  /// The next batch of the epoch, whose number is also `position` (i64 [], where the model computes). On a
  /// device all of `batch_size` images, always in the same memory, and by the position alone. Valid until the
  /// next call.
  const Batch& next(const Tensor& position);
  /// Batch `number` of the epoch; the last may have fewer images. Valid until the next call.
  const Batch& at(int64_t number);

 private:
  Batch empty(int64_t count) const;
  void gather(const Tensor& order, const Tensor& position, Batch& batch) const;
  const Batch& next_of_loader();

  LoaderSettings settings_;
  Place place_;
  int64_t images_, per_epoch_;
  int64_t epoch_ = 0;
  Batch batch_;  // of batch_size images
  Batch last_;   // a smaller one
  // On the CPU:
  std::optional<Loader> loader_;
  int64_t loader_epoch_ = 0, loader_batch_ = 0;  // what it gives next
  // On a device:
  Tensor set_images_, set_labels_, values_;
  Tensor order_;         // i64 [N]
  Tensor epoch_number_;  // i64 []
};

}  // namespace fovea
