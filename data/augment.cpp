#include "fovea/data/augment.h"

#include <algorithm>

#include "fovea/core/check.h"

namespace fovea {

Tensor normalised_bytes(const ImageNormalisation& normalisation) {
  Tensor values = Tensor::empty({3, 256});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t byte = 0; byte < 256; ++byte) {
      values.data<float>()[c * 256 + byte] =
          (static_cast<float>(byte) / 255.0f - normalisation.mean[c]) / normalisation.deviation[c];
    }
  }
  return values;
}

kernels::BatchSettings batch_settings(const std::optional<Augmentation>& augmentation, uint64_t seed) {
  if (!augmentation) return {.seed = seed};
  return {.is_augmented = true,
          .padding = augmentation->padding,
          .flip = augmentation->flip,
          .alternating_flip = augmentation->alternating_flip,
          .cutout = augmentation->cutout,
          .seed = seed};
}

void check_images(const ImageSet& set, const std::optional<Augmentation>& augmentation) {
  const Tensor &images = set.images, &labels = set.labels;
  check(images.defined() && images.dtype() == Dtype::u8 && images.rank() == 4 && images.shape(3) == 3 &&
            labels.defined() && labels.dtype() == Dtype::i32 && labels.shape() == Shape{images.shape(0)},
        "make_batch: images are ", images, " and labels ", labels, ", wanted u8[N, H, W, 3] and i32[N]");
  const int64_t H = images.shape(1), W = images.shape(2);
  if (augmentation) {
    check<UsageError>(augmentation->padding >= 0 && augmentation->padding <= std::min(H, W),
                      "make_batch: padding is ", augmentation->padding, ", wanted 0 to ", std::min(H, W),
                      " for images of ", H, "x", W);
    check<UsageError>(augmentation->cutout >= 0 && augmentation->cutout < 2 * std::min(H, W),
                      "make_batch: cutout is ", augmentation->cutout, ", wanted 0 to ",
                      2 * std::min(H, W) - 1, " for images of ", H, "x", W,
                      ", of which a larger square leaves nothing");
  }
}

Batch make_batch(const ImageSet& set, std::span<const int64_t> indices,
                 const ImageNormalisation& normalisation, const std::optional<Augmentation>& augmentation,
                 uint64_t seed, uint32_t epoch) {
  check_images(set, augmentation);
  const Tensor& images = set.images;
  const int64_t N = images.shape(0), H = images.shape(1), W = images.shape(2), B = std::ssize(indices);
  for (const int64_t index : indices) {
    check(index >= 0 && index < N, "make_batch: index ", index, " in a set of ", N, " images");
  }
  Batch batch{Tensor::empty({B, H, W, 3}), Tensor::empty({B}, Dtype::i32)};
  const Tensor order = Tensor::from<int64_t>({indices.begin(), indices.end()}, {B});
  const Tensor position = Tensor::zeros({}, Dtype::i64), epoch_number = Tensor::from<int64_t>({epoch}, {});
  kernels::gather_batch(images, set.labels, order, position, epoch_number, normalised_bytes(normalisation),
                        batch_settings(augmentation, seed), batch.images, batch.labels);
  return batch;
}

}  // namespace fovea
