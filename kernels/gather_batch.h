#pragma once

#include <cstdint>

#include "fovea/core/random.h"
#include "fovea/kernels/kernel.h"

namespace fovea::kernels {

/// How images are varied: see fovea::Augmentation.
struct BatchSettings {
  bool is_augmented = false;
  int64_t padding = 0;
  bool flip = false;
  uint64_t seed = 1;
};

/// Where the crop begins in the image, from -padding to padding, and whether it is flipped then.
struct Variation {
  int top = 0, left = 0;
  bool flip = false;
};

/// How image `index` is varied in an epoch. Draws the same numbers whatever the settings, so that one setting
/// does not change what another does.
constexpr Variation draw_variation(const BatchSettings& settings, int64_t epoch, int64_t index) {
  if (!settings.is_augmented) return {};
  Random random(settings.seed, Purpose::augmentation, static_cast<uint32_t>(epoch),
                static_cast<uint32_t>(index));
  const int padding = static_cast<int>(settings.padding);
  const auto positions = static_cast<uint32_t>(2 * padding + 1);
  Variation variation;
  variation.top = static_cast<int>(random.below(positions)) - padding;
  variation.left = static_cast<int>(random.below(positions)) - padding;
  variation.flip = (random.next() & 1u) != 0 && settings.flip;
  return variation;
}

/// Batch number `position` of an epoch: x[b] = the image order[position * B + b], cropped and flipped as
/// draw_variation says, each byte replaced by values[c, byte]; what lies outside the image is 0. y[b] = its
/// label. images: u8 [N, H, W, C], labels: i32 [N], order: i64 [>= (position + 1) * B] of numbers below N,
/// position, epoch: i64 [], values: f32 [C, 256] -> x: f32, bf16 or f16 [B, H, W, C], y: i32 [B]
FOVEA_KERNEL(gather_batch, const Tensor& images, const Tensor& labels, const Tensor& order,
             const Tensor& position, const Tensor& epoch, const Tensor& values, const BatchSettings& settings,
             Tensor& x, Tensor& y);

}  // namespace fovea::kernels
