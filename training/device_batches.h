#pragma once

#include <cstdint>
#include <optional>

#include "fovea/data/augment.h"
#include "fovea/data/image_set.h"

namespace fovea {

/// The batches of a set whose images lie as bytes on a device: each is made there by one kernel, from numbers
/// that lie there, so that making it can be captured. The same batches as a Loader's.
class DeviceBatches {
 public:
  /// Batches of images [H, W, 3] of a floating `dtype`; the set's own order until begin_epoch.
  DeviceBatches(const ImageSet& set, const Normalisation& normalisation,
                const std::optional<Augmentation>& augmentation, uint64_t seed, Dtype dtype, Device device);

  /// Shuffles for an epoch, as a Loader does.
  void begin_epoch(int64_t epoch);
  /// Room for a batch: images [B, H, W, 3] and labels i32 [B], on the device.
  Batch empty(int64_t batch_size) const;
  /// Makes batch number `position` (i64 [], on the device) of an epoch whose batches are as large as this.
  void gather(const Tensor& position, Batch& batch) const;
  /// The images first, ..., first + count - 1 of the order.
  Batch slice(int64_t first, int64_t count) const;

 private:
  void gather(const Tensor& order, const Tensor& position, Batch& batch) const;

  kernels::BatchSettings settings_;
  Dtype dtype_;
  Tensor set_images_, set_labels_, values_;
  Tensor order_;  // i64 [N]
  Tensor epoch_;  // i64 []
};

}  // namespace fovea
