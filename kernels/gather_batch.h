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
  bool alternating_flip = false;
  int64_t cutout = 0;
  uint64_t seed = 1;
};

/// Where the crop begins in the image, from -padding to padding, whether it is flipped then, and where the
/// square of `cutout` pixels begins that is 0 in the end; it may reach beyond the result.
struct Variation {
  int top = 0, left = 0;
  bool flip = false;
  int hole_top = 0, hole_left = 0;

  constexpr bool is_in_hole(int row, int column, int64_t cutout) const {
    const auto side = static_cast<unsigned>(cutout);
    return static_cast<unsigned>(row - hole_top) < side && static_cast<unsigned>(column - hole_left) < side;
  }
};

/// How image `index`, of H x W pixels, is varied in an epoch. Draws the same numbers whatever the settings,
/// so that one setting does not change what another does.
constexpr Variation draw_variation(const BatchSettings& settings, int64_t epoch, int64_t index, int64_t H,
                                   int64_t W) {
  if (!settings.is_augmented) return {};
  const auto epoch_number = static_cast<uint32_t>(epoch), image = static_cast<uint32_t>(index);
  Random random(settings.seed, Purpose::augmentation, epoch_number, image);
  const int padding = static_cast<int>(settings.padding);
  const auto positions = static_cast<uint32_t>(2 * padding + 1);
  Variation variation;
  variation.top = static_cast<int>(random.below(positions)) - padding;
  variation.left = static_cast<int>(random.below(positions)) - padding;
  variation.flip = (random.next() & 1u) != 0 && settings.flip;
  if (settings.flip && settings.alternating_flip) {
    Random first(settings.seed, Purpose::first_flip, 0, image);
    variation.flip = ((first.next() ^ epoch_number) & 1u) != 0;
  }
  if (settings.cutout > 0) {
    Random centre(settings.seed, Purpose::cutout, epoch_number, image);
    const int side = static_cast<int>(settings.cutout);
    variation.hole_top = static_cast<int>(centre.below(static_cast<uint32_t>(H))) - side / 2;
    variation.hole_left = static_cast<int>(centre.below(static_cast<uint32_t>(W))) - side / 2;
  }
  return variation;
}

/// Batch number `position` of an epoch: x[b] = the image order[position * B + b], cropped and flipped as
/// draw_variation says, each byte replaced by values[c, byte]; what lies outside the image, or in the hole,
/// is 0. y[b] = its label. images: u8 [N, H, W, C], labels: i32 [N], order: i64 [>= (position + 1) * B] of
/// numbers below N, position, epoch: i64 [], values: f32 [C, 256] -> x: f32, bf16 or f16 [B, H, W, C], y: i32
/// [B]
FOVEA_KERNEL(gather_batch, const Tensor& images, const Tensor& labels, const Tensor& order,
             const Tensor& position, const Tensor& epoch, const Tensor& values, const BatchSettings& settings,
             Tensor& x, Tensor& y);

}  // namespace fovea::kernels
