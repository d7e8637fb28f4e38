#include "fovea/data/augment.h"

#include <algorithm>
#include <array>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"

namespace fovea {
namespace {

/// For each channel what each byte becomes.
using NormalisedBytes = std::array<std::array<float, 256>, 3>;

NormalisedBytes normalised_bytes(const Normalisation& normalisation) {
  NormalisedBytes table;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t byte = 0; byte < 256; ++byte) {
      table[c][byte] =
          (static_cast<float>(byte) / 255.0f - normalisation.mean[c]) / normalisation.deviation[c];
    }
  }
  return table;
}

/// Where the crop begins in the image, from -padding to padding, and whether it is flipped then.
struct Variation {
  int64_t top = 0, left = 0;
  bool flip = false;
};

/// Draws the same numbers whatever the settings, so that one setting does not change what another does.
Variation draw_variation(const Augmentation& augmentation, Random random) {
  const auto positions = static_cast<uint32_t>(2 * augmentation.padding + 1);
  Variation variation;
  variation.top = static_cast<int64_t>(random.below(positions)) - augmentation.padding;
  variation.left = static_cast<int64_t>(random.below(positions)) - augmentation.padding;
  variation.flip = (random.next() & 1u) != 0 && augmentation.flip;
  return variation;
}

/// image: u8 [H, W, 3] -> out: f32 [H, W, 3]. What the crop takes from outside the image is zero.
void crop(const uint8_t* image, int64_t H, int64_t W, const NormalisedBytes& table,
          const Variation& variation, float* out) {
  const int64_t begin = std::clamp<int64_t>(-variation.left, 0, W);  // columns of the crop inside the image
  const int64_t end = std::clamp<int64_t>(W - variation.left, 0, W);
  for (int64_t h = 0; h < H; ++h, out += W * 3) {
    const int64_t from_h = h + variation.top;
    std::fill_n(out, W * 3, 0.0f);
    if (from_h < 0 || from_h >= H) continue;
    const uint8_t* from = image + (from_h * W + begin + variation.left) * 3;
    for (int64_t w = begin; w < end; ++w, from += 3) {
      float* pixel = out + (variation.flip ? W - 1 - w : w) * 3;
      for (size_t c = 0; c < 3; ++c) pixel[c] = table[c][from[c]];
    }
  }
}

}  // namespace

Batch make_batch(const ImageSet& set, std::span<const int64_t> indices, const Normalisation& normalisation,
                 const std::optional<Augmentation>& augmentation, uint64_t seed, uint32_t epoch) {
  const Tensor &images = set.images, &labels = set.labels;
  check(images.defined() && images.dtype() == Dtype::u8 && images.rank() == 4 && images.shape(3) == 3 &&
            labels.defined() && labels.dtype() == Dtype::i32 && labels.shape() == Shape{images.shape(0)},
        "make_batch: images are ", images, " and labels ", labels, ", wanted u8[N, H, W, 3] and i32[N]");
  const int64_t N = images.shape(0), H = images.shape(1), W = images.shape(2), B = std::ssize(indices);
  for (const int64_t index : indices) {
    check(index >= 0 && index < N, "make_batch: index ", index, " in a set of ", N, " images");
  }
  if (augmentation) {
    check<UsageError>(augmentation->padding >= 0 && augmentation->padding <= std::min(H, W),
                      "make_batch: padding is ", augmentation->padding, ", wanted 0 to ", std::min(H, W),
                      " for images of ", H, "x", W);
  }

  Batch batch{Tensor::empty({B, H, W, 3}), Tensor::empty({B}, Dtype::i32)};
  const NormalisedBytes table = normalised_bytes(normalisation);
  const uint8_t* in = images.data<uint8_t>();
  const int32_t* in_labels = labels.data<int32_t>();
  float* out = batch.images.data<float>();
  int32_t* out_labels = batch.labels.data<int32_t>();
  parallel_for(B, /*grain=*/8, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t index = indices[static_cast<size_t>(b)];
      Variation variation;
      if (augmentation) {
        const Random random(seed, Purpose::augmentation, epoch, static_cast<uint32_t>(index));
        variation = draw_variation(*augmentation, random);
      }
      crop(in + index * H * W * 3, H, W, table, variation, out + b * H * W * 3);
      out_labels[b] = in_labels[index];
    }
  });
  return batch;
}

}  // namespace fovea
