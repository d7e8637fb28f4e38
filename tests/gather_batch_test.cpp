#include "fovea/kernels/gather_batch.h"

#include <catch2/catch.hpp>

#include "fovea/data/augment.h"
#include "fovea/data/loader.h"
#include "fovea/data/synthetic.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

const ImageSet& drawn_images() {
  static const ImageSet set = synthetic_images(Split::train, /*count=*/40, /*seed=*/3);
  return set;
}

const ImageNormalisation kNormalisation{{0.4f, 0.5f, 0.45f}, {0.25f, 0.2f, 0.3f}};

struct Made {
  Tensor x;
  kernels::BatchLabels y;
};

/// Batch `position` of B * shares images of an epoch, or this share of it, made on a device.
Made gathered(Device device, Dtype dtype, int64_t B, int64_t position, uint32_t epoch,
              const std::optional<Augmentation>& augmentation, int64_t share = 0, int64_t shares = 1) {
  const ImageSet& set = drawn_images();
  const Tensor order = Tensor::from<int64_t>(shuffled_order(set.size(), /*seed=*/5, epoch), {set.size()});
  const Tensor mixing = draw_mixing(augmentation, /*seed=*/5, epoch, /*first=*/0, position + 1, 32, 32);
  const auto labels = [&] { return Tensor::empty({B}, Dtype::i32, device); };
  Made made{Tensor::empty({B, 32, 32, 3}, dtype, device), {labels()}};
  if (mixing.defined()) {
    made.y.partners = labels();
    made.y.weight = Tensor::empty({}, Dtype::f32, device);
  }
  const kernels::BatchSettings batch = batch_settings(augmentation, 5, share, shares);
  kernels::gather_batch(set.images.to(device), set.labels.to(device), order.to(device),
                        whole(position, device), whole(epoch, device),
                        normalised_bytes(kNormalisation).to(device),
                        mixing.defined() ? mixing.to(device) : mixing, batch, made.x, made.y);
  return made;
}

}  // namespace

TEST_CASE("gather_batch: a place in the order is the batch that the loader gives") {
  LoaderSettings settings;
  settings.batch_size = 8;
  settings.augmentation = GENERATE(Augmentation{}, Augmentation{.mixup = 1, .cutmix = 1});
  settings.seed = 5;
  Loader loader(drawn_images(), kNormalisation, settings);
  loader.seek(/*epoch=*/2, /*batch=*/3);
  const Batch batch = loader.next();
  const Made made = gathered(Device::cpu(), Dtype::f32, 8, 3, 2, settings.augmentation);
  CHECK(same_bits(made.x, batch.images));
  CHECK(same_bits(made.y.own, batch.labels));
  REQUIRE(made.y.partners.defined() == batch.partners.defined());
  if (!made.y.partners.defined()) return;
  CHECK(same_bits(made.y.partners, batch.partners));
  CHECK(same_bits(made.y.weight, batch.label_weight));
}

TEST_CASE("gather_batch: the same bits on every device") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    for (const auto& augmentation : {std::optional<Augmentation>(), std::optional(Augmentation{}),
                                     std::optional(Augmentation{.padding = 32, .flip = false}),
                                     std::optional(Augmentation{.alternating_flip = true, .cutout = 13}),
                                     std::optional(Augmentation{.random_erasing = 0.75, .mixup = 0.5}),
                                     std::optional(Augmentation{.cutout = 5, .cutmix = 1})}) {
      for (const int64_t B : {1, 7}) {
        const Made wanted = gathered(Device::cpu(), dtype, B, 4, 1, augmentation);
        for (const Device device : devices()) {
          const Made found = gathered(device, dtype, B, 4, 1, augmentation);
          CHECK(same_bits(found.x, wanted.x));
          CHECK(same_bits(found.y.own, wanted.y.own));
          if (!wanted.y.partners.defined()) continue;
          CHECK(same_bits(found.y.partners, wanted.y.partners));
          CHECK(same_bits(found.y.weight, wanted.y.weight));
        }
      }
    }
  }
}

TEST_CASE("gather_batch: shares are parts of a batch, also of one whose images are mixed") {
  const auto augmentation = GENERATE(std::optional<Augmentation>(), std::optional(Augmentation{.mixup = 1}));
  const Made all = gathered(Device::cpu(), Dtype::f32, 12, 2, 1, augmentation);
  for (const Device device : devices()) {
    for (const int64_t shares : {2, 3, 4}) {
      for (int64_t share = 0; share < shares; ++share) {
        const int64_t B = 12 / shares, first = share * B;
        const Made found = gathered(device, Dtype::f32, B, 2, 1, augmentation, share, shares);
        const int64_t image = all.x.size() / 12;
        CHECK(found.x.to_doubles() == all.x.slice(first * image, found.x.shape()).to_doubles());
        CHECK(found.y.own.to_doubles() == all.y.own.slice(first, {B}).to_doubles());
        if (!all.y.partners.defined()) continue;
        CHECK(found.y.partners.to_doubles() == all.y.partners.slice(first, {B}).to_doubles());
        CHECK(same_bits(found.y.weight, all.y.weight));
      }
    }
  }
}

TEST_CASE("mixed_targets: by hand, on every device") {
  for (const Device device : devices()) {
    const auto labels = [&](const std::vector<int32_t>& numbers) {
      return Tensor::from<int32_t>(numbers, {2}).to(device);
    };
    const kernels::BatchLabels mixed{labels({2, 1}), labels({0, 1}),
                                     Tensor::full({}, 0.75, Dtype::f32, device)};
    Tensor targets = Tensor::empty({2, 3}, Dtype::f32, device);
    kernels::mixed_targets(mixed, /*smoothing=*/0.3, targets);
    check_near(targets.to(Device::cpu()), {0.275, 0.1, 0.625, 0.1, 0.8, 0.1}, 1e-6);
  }
}
