#pragma once

#include <cstdint>
#include <optional>

#include "fovea/core/ranks.h"
#include "fovea/data/loader.h"
#include "fovea/layers/module.h"

namespace fovea {

/// The settings for this rank's share of every batch; as they are without ranks. UsageError for batches that
/// ranks cannot share.
LoaderSettings share_of(LoaderSettings settings, const Ranks* ranks);

/// The batches of a set of images, on the device and in the dtype of a model. On the CPU a thread prepares
/// the next ones. On a device the images lie as bytes, and one kernel makes a batch of them by an order and a
/// position that lie there as well, so that making it can be captured. The same batches in both cases, to the
/// bit in f32.
class Batches {
 public:
  /// Begins with epoch 0. Settings as of a Loader; see LoaderSettings::repeat.
  Batches(const ImageSet& set, const ImageNormalisation& normalisation, const LoaderSettings& settings,
          Place place);

  /// How many an epoch has.
  int64_t per_epoch() const { return per_epoch_; }
  /// Makes batch `first` of an epoch the next one; on a device `position` says which that is.
  void begin_epoch(int64_t epoch, int64_t first = 0);
  /// The next batch of the epoch. position: i64 [] on the model's device, the batch's number; on a device it
  /// selects the batch, which must be a whole one and is always in the same memory; the CPU goes on in order.
  /// Valid until the next call.
  const Batch& next(const Tensor& position);
  /// Batch `number` of the epoch; the last may have fewer images. Valid until the next call.
  const Batch& at(int64_t number);

 private:
  void copy_order();
  Loader& loader();
  Batch empty(int64_t count) const;
  void gather(const Tensor& order, const Tensor& position, const Tensor& mixing, Batch& batch) const;
  const Batch& next_of_loader();

  LoaderSettings settings_;
  Place place_;
  int64_t images_, per_epoch_;
  int64_t epoch_ = 0;
  Batch batch_;  // a whole one, or this share of it
  Batch last_;   // a smaller one
  // On the CPU:
  ImageSet set_;
  ImageNormalisation normalisation_;
  std::optional<Loader> loader_;  // from the first use on: what waits to be used holds no batches
  int64_t loader_epoch_ = 0, loader_batch_ = 0;  // what it gives next; -1: nothing, it has failed
  // On a device:
  Tensor set_images_, set_labels_, values_;
  Tensor order_;         // i64 [N]
  Tensor epoch_number_;  // i64 []
  Tensor mixing_;        // f32 [per_epoch, 6], or undefined
};

}  // namespace fovea
