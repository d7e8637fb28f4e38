#include "fovea/training/batches.h"

#include <algorithm>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/kernels/cast.h"

namespace fovea {

LoaderSettings share_of(LoaderSettings settings, const Ranks* ranks) {
  if (ranks == nullptr) return settings;
  // Where that makes the bits those of one rank, groups are equal, too.
  const int64_t unit = kBatchGroups % ranks->size() == 0 ? kBatchGroups : ranks->size();
  check<UsageError>(settings.batch_size % unit == 0, "train: a batch of ", settings.batch_size,
                    " images for ", ranks->size(), " ranks, wanted a multiple of ", unit);
  settings.share = ranks->rank();
  settings.shares = ranks->size();
  return settings;
}

Batches::Batches(const ImageSet& set, const ImageNormalisation& normalisation, const LoaderSettings& settings,
                 Place place)
    : settings_(settings),
      place_(place),
      images_(set.size()),
      per_epoch_(batches_per_epoch(images_, settings)) {
  if (per_epoch_ == 0) return;
  check_images(set, settings.augmentation);
  if (place.device.is_cpu()) {
    set_ = set;
    normalisation_ = normalisation;
    return;
  }
  set_images_ = set.images.to(place.device);
  set_labels_ = set.labels.to(place.device);
  values_ = normalised_bytes(normalisation).to(place.device);
  order_ = Tensor::empty({images_}, Dtype::i64, place.device);
  epoch_number_ = Tensor::zeros({}, Dtype::i64, place.device);
  copy_order();
  if (images_ >= settings.batch_size) batch_ = empty(settings.batch_size / settings.shares);
}

void Batches::begin_epoch(int64_t epoch, int64_t first) {
  const bool is_another = std::exchange(epoch_, epoch) != epoch;
  if (place_.device.is_cpu()) {
    // A run that goes on behind the last batch of an epoch, which was not evaluated, asks for none.
    if (first == per_epoch_ || (loader_epoch_ == epoch && loader_batch_ == first)) return;
    loader().seek(epoch, first);
    loader_epoch_ = epoch;
    loader_batch_ = first;
  } else if (per_epoch_ > 0 && is_another) {
    copy_order();
  }
}

const Batch& Batches::next(const Tensor& position) {
  if (place_.device.is_cpu()) return next_of_loader();
  gather(order_, position, mixing_, batch_);
  return batch_;
}

const Batch& Batches::at(int64_t number) {
  if (place_.device.is_cpu()) {
    begin_epoch(epoch_, number);
    return next_of_loader();
  }
  const int64_t first = number * settings_.batch_size;
  const int64_t count = std::min(settings_.batch_size, images_ - first);
  const bool is_whole = count == settings_.batch_size;
  if (!is_whole) last_ = empty(count);
  Batch& batch = is_whole ? batch_ : last_;
  const Tensor mixing =
      mixing_.defined() ? mixing_.slice(number * mixing_.shape(1), {1, mixing_.shape(1)}) : Tensor();
  gather(order_.slice(first, {count}), Tensor::zeros({}, Dtype::i64, place_.device), mixing, batch);
  return batch;
}

Batch Batches::empty(int64_t count) const {
  const Shape& set = set_images_.shape();
  return empty_batch({count, set[1], set[2], set[3]}, place_.dtype, place_.device, mixing_.defined());
}

void Batches::gather(const Tensor& order, const Tensor& position, const Tensor& mixing, Batch& batch) const {
  kernels::BatchLabels labels = batch_labels(batch);
  kernels::gather_batch(
      set_images_, set_labels_, order, position, epoch_number_, values_, mixing,
      batch_settings(settings_.augmentation, settings_.seed, settings_.share, settings_.shares), batch.images,
      labels);
}

void Batches::copy_order() {
  order_.copy_from(Tensor::from<int64_t>(epoch_order(images_, settings_, epoch_), order_.shape()));
  epoch_number_.copy_from(Tensor::from<int64_t>({epoch_}, {}));
  const Tensor mixing = draw_mixing(settings_.augmentation, settings_.seed, epoch_, /*first=*/0, per_epoch_,
                                    set_images_.shape(1), set_images_.shape(2));
  if (!mixing.defined()) return;
  if (!mixing_.defined()) mixing_ = Tensor::empty(mixing.shape(), Dtype::f32, place_.device);
  mixing_.copy_from(mixing);
}

Loader& Batches::loader() {
  if (!loader_) loader_.emplace(set_, normalisation_, settings_);
  return *loader_;
}

const Batch& Batches::next_of_loader() {
  const int64_t number = std::exchange(loader_batch_, -1);  // until it is there: a failure lasts until a seek
  batch_ = loader().next();
  const bool goes_on = number + 1 == per_epoch_ && settings_.repeat;
  loader_epoch_ += goes_on ? 1 : 0;
  loader_batch_ = goes_on ? 0 : number + 1;
  if (batch_.images.dtype() != place_.dtype) {
    Tensor converted = Tensor::empty(batch_.images.shape(), place_.dtype);
    kernels::cast_forward(batch_.images, converted);
    batch_.images = converted;
  }
  return batch_;
}

}  // namespace fovea
