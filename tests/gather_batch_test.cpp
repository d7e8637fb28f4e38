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
  Tensor x, y;
};

/// Batch `position` of B images of an epoch, made on a device.
Made gathered(Device device, Dtype dtype, int64_t B, int64_t position, uint32_t epoch,
              const std::optional<Augmentation>& augmentation) {
  const ImageSet& set = drawn_images();
  const Tensor order = Tensor::from<int64_t>(shuffled_order(set.size(), /*seed=*/5, epoch), {set.size()});
  Made made{Tensor::empty({B, 32, 32, 3}, dtype, device), Tensor::empty({B}, Dtype::i32, device)};
  kernels::gather_batch(
      set.images.to(device), set.labels.to(device), order.to(device),
      Tensor::from<int64_t>({position}, {}).to(device), Tensor::from<int64_t>({epoch}, {}).to(device),
      normalised_bytes(kNormalisation).to(device), batch_settings(augmentation, 5), made.x, made.y);
  return made;
}

}  // namespace

TEST_CASE("gather_batch: a place in the order is the batch that the loader gives") {
  LoaderSettings settings;
  settings.batch_size = 8;
  settings.augmentation = Augmentation{};
  settings.seed = 5;
  Loader loader(drawn_images(), kNormalisation, settings);
  loader.seek(/*epoch=*/2, /*batch=*/3);
  const Batch batch = loader.next();
  const Made made = gathered(Device::cpu(), Dtype::f32, 8, 3, 2, Augmentation{});
  CHECK(same_bits(made.x, batch.images));
  CHECK(same_bits(made.y, batch.labels));
}

TEST_CASE("gather_batch: the same bits on every device") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    for (const auto& augmentation : {std::optional<Augmentation>(), std::optional(Augmentation{}),
                                     std::optional(Augmentation{.padding = 32, .flip = false}),
                                     std::optional(Augmentation{.alternating_flip = true, .cutout = 13})}) {
      for (const int64_t B : {1, 7}) {
        const Made wanted = gathered(Device::cpu(), dtype, B, 4, 1, augmentation);
        for (const Device device : devices()) {
          const Made found = gathered(device, dtype, B, 4, 1, augmentation);
          CHECK(same_bits(found.x, wanted.x));
          CHECK(same_bits(found.y, wanted.y));
        }
      }
    }
  }
}
