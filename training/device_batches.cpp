#include "fovea/training/device_batches.h"

#include <numeric>
#include <utility>
#include <vector>

#include "fovea/data/loader.h"

namespace fovea {

DeviceBatches::DeviceBatches(const ImageSet& set, const Normalisation& normalisation,
                             const std::optional<Augmentation>& augmentation, uint64_t seed,
                             int64_t batch_size, Dtype dtype, Device device)
    : settings_(batch_settings(augmentation, seed)),
      set_images_(set.images.to(device)),
      set_labels_(set.labels.to(device)),
      values_(normalised_bytes(normalisation).to(device)),
      epoch_(Tensor::zeros({}, Dtype::i64, device)),
      x_(Tensor::empty({batch_size, set.images.shape(1), set.images.shape(2), set.images.shape(3)}, dtype,
                       device)),
      y_(Tensor::empty({batch_size}, Dtype::i32, device)) {
  check_images(set, augmentation);
  std::vector<int64_t> order(static_cast<size_t>(set.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  order_ = Tensor::from<int64_t>(order, {set.size()}).to(device);
}

void DeviceBatches::begin_epoch(int64_t epoch) {
  const auto number = static_cast<uint32_t>(epoch);
  order_.copy_from(
      Tensor::from<int64_t>(shuffled_order(order_.size(), settings_.seed, number), order_.shape()));
  epoch_.copy_from(Tensor::from<int64_t>({epoch}, {}));
}

void DeviceBatches::gather(const Tensor& position) {
  kernels::gather_batch(set_images_, set_labels_, order_, position, epoch_, values_, settings_, x_, y_);
}

Batch DeviceBatches::slice(int64_t first, int64_t count) const {
  const Device device = order_.device();
  Batch batch{Tensor::empty({count, x_.shape(1), x_.shape(2), x_.shape(3)}, x_.dtype(), device),
              Tensor::empty({count}, Dtype::i32, device)};
  kernels::gather_batch(set_images_, set_labels_, order_.slice(first, {count}),
                        Tensor::zeros({}, Dtype::i64, device), epoch_, values_, settings_, batch.images,
                        batch.labels);
  return batch;
}

}  // namespace fovea
