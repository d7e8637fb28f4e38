#include "fovea/training/device_batches.h"

#include <numeric>
#include <utility>
#include <vector>

#include "fovea/data/loader.h"

namespace fovea {

DeviceBatches::DeviceBatches(const ImageSet& set, const Normalisation& normalisation,
                             const std::optional<Augmentation>& augmentation, uint64_t seed, Dtype dtype,
                             Device device)
    : settings_(batch_settings(augmentation, seed)),
      dtype_(dtype),
      set_images_(set.images.to(device)),
      set_labels_(set.labels.to(device)),
      values_(normalised_bytes(normalisation).to(device)),
      epoch_(Tensor::zeros({}, Dtype::i64, device)) {
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

Batch DeviceBatches::empty(int64_t batch_size) const {
  const Shape& set = set_images_.shape();
  const Device device = set_images_.device();
  return {Tensor::empty({batch_size, set[1], set[2], set[3]}, dtype_, device),
          Tensor::empty({batch_size}, Dtype::i32, device)};
}

void DeviceBatches::gather(const Tensor& position, Batch& batch) const {
  gather(order_, position, batch);
}

void DeviceBatches::gather(const Tensor& order, const Tensor& position, Batch& batch) const {
  kernels::gather_batch(set_images_, set_labels_, order, position, epoch_, values_, settings_, batch.images,
                        batch.labels);
}

Batch DeviceBatches::slice(int64_t first, int64_t count) const {
  Batch batch = empty(count);
  gather(order_.slice(first, {count}), Tensor::zeros({}, Dtype::i64, order_.device()), batch);
  return batch;
}

}  // namespace fovea
