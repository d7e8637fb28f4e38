#pragma once

#include <cstdint>

#include "fovea/core/random.h"
#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// How images are varied: see fovea::Augmentation.
struct BatchSettings {
  bool is_augmented = false;
  int64_t padding = 0;
  bool flip = false;
  bool alternating_flip = false;
  int64_t cutout = 0;
  uint64_t erasing = 0;  // of 2^32 images, how many have a rectangle erased
  uint64_t seed = 1;
  int64_t share = 0, shares = 1;  // of every batch only this one of `shares` parts of equal size, in order
};

/// A part of an image, in pixels; it may reach beyond it, and be empty.
struct Rectangle {
  int top = 0, left = 0, height = 0, width = 0;

  constexpr bool contains(int row, int column) const {
    return static_cast<unsigned>(row - top) < static_cast<unsigned>(height) &&
           static_cast<unsigned>(column - left) < static_cast<unsigned>(width);
  }
};

/// Where the crop begins in the image, from -padding to padding, whether it is flipped then, and what is 0 in
/// the end.
struct Variation {
  int top = 0, left = 0;
  bool flip = false;
  Rectangle cut_out, erased;

  constexpr bool is_in_hole(int row, int column) const {
    return cut_out.contains(row, column) || erased.contains(row, column);
  }
};

/// The root of x to the nearest whole number; below 2^31.
constexpr int rounded_root(uint64_t x) {
  uint64_t root = 0;  // of 4 x, rounded down, a bit at a time
  for (uint64_t bit = uint64_t{1} << 31; bit > 0; bit /= 2) {
    if ((root + bit) * (root + bit) <= 4 * x) root += bit;
  }
  return static_cast<int>((root + 1) / 2);
}

/// A rectangle of 2 to 40 % of the area, whose height is 0.3 to 3.33 times its width, that fits an image of H
/// x W pixels; an empty one if ten drawn ones do not. In whole numbers: the same on every device.
constexpr Rectangle draw_rectangle(Random& random, int64_t H, int64_t W) {
  const auto area = static_cast<uint64_t>(H * W);
  const uint64_t least = (2 * area + 99) / 100, most = 40 * area / 100;
  for (int attempt = 0; attempt < 10 && least <= most; ++attempt) {
    const uint64_t pixels = least + random.below(static_cast<uint32_t>(most - least + 1));
    const uint64_t thousandths = 300 + random.below(3034);
    const int height = rounded_root(pixels * thousandths / 1000);
    const int width = rounded_root(pixels * 1000 / thousandths);
    if (height >= H || width >= W) continue;
    Rectangle drawn{.height = height, .width = width};
    drawn.top = static_cast<int>(random.below(static_cast<uint32_t>(H - height + 1)));
    drawn.left = static_cast<int>(random.below(static_cast<uint32_t>(W - width + 1)));
    return drawn;
  }
  return {};
}

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
    variation.cut_out.height = variation.cut_out.width = side;
    variation.cut_out.top = static_cast<int>(centre.below(static_cast<uint32_t>(H))) - side / 2;
    variation.cut_out.left = static_cast<int>(centre.below(static_cast<uint32_t>(W))) - side / 2;
  }
  if (settings.erasing > 0) {
    Random erasing(settings.seed, Purpose::erasing, epoch_number, image);
    if (erasing.next() < settings.erasing) variation.erased = draw_rectangle(erasing, H, W);
  }
  return variation;
}

/// What happens to a batch in which images are mixed in pairs: image b with image B - 1 - b, its partner. A
/// row of gather_batch's `mixing`.
struct Mix {
  float blend;                     // an image is blend * itself + (1 - blend) * its partner
  float weight;                    // of its own label
  float top, left, height, width;  // a rectangle in which it is its partner alone

  /// As it stands in a row.
  static constexpr Mix of(const float* row) { return {row[0], row[1], row[2], row[3], row[4], row[5]}; }
  /// Whether a pixel is in the rectangle.
  constexpr bool takes_partner(int row, int column) const {
    return Rectangle{static_cast<int>(top), static_cast<int>(left), static_cast<int>(height),
                     static_cast<int>(width)}
        .contains(row, column);
  }
};
inline constexpr int64_t kMixNumbers = 6;
static_assert(sizeof(Mix) == kMixNumbers * sizeof(float));

/// The labels of a batch; partners and weight are undefined where images are not mixed.
struct BatchLabels {
  Tensor own;         // i32 [B]
  Tensor partners{};  // i32 [B]: of the images that they are mixed with
  Tensor weight{};    // f32 []: of their own labels; the partners' have the rest

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(own), visit(partners), visit(weight);
  }
};

/// Batch number `position` of an epoch, or a share of it: x[b] = the image order[position * B + b], cropped
/// and flipped as draw_variation says, each byte replaced by values[c, byte]; what lies outside the image, or
/// in a hole, is 0. Where `mixing` is defined, each is mixed with its partner then, as row `position` of it
/// says. images: u8 [N, H, W, C], labels: i32 [N], order: i64 [>= (position + 1) * B] of numbers below N,
/// position, epoch: i64 [], values: f32 [C, 256], mixing: f32 [> position, 6], a Mix in each row, or
/// undefined -> x: f32, bf16 or f16 [B / shares, H, W, C], y, likewise
FOVEA_KERNEL(gather_batch, const Tensor& images, const Tensor& labels, const Tensor& order,
             const Tensor& position, const Tensor& epoch, const Tensor& values, const Tensor& mixing,
             const BatchSettings& settings, Tensor& x, BatchLabels& y);

/// targets[b] = weight * q(own label) + (1 - weight) * q(partner's), q(label) = (1 - smoothing) *
/// onehot(label) + smoothing / C: what the cross-entropy is taken against.  targets: f32 [B, C]
FOVEA_KERNEL(mixed_targets, const BatchLabels& labels, double smoothing, Tensor& targets);

}  // namespace fovea::kernels
#pragma GCC visibility pop
