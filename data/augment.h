#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "fovea/core/settings_fields.h"
#include "fovea/core/tensor.h"
#include "fovea/data/image_set.h"
#include "fovea/kernels/gather_batch.h"

#pragma GCC visibility push(default)
namespace fovea {

/// How training images are varied: a random crop from the image padded with zeros (the mean colour, for it
/// is normalised first), then a flip from left to right in half of the cases (He et al. 2016, section 4.2),
/// then cutout: a square around a random pixel becomes zeros, as far as it lies within the image (DeVries and
/// Taylor, "Improved regularization of convolutional neural networks with cutout", 2017, arXiv:1708.04552).
/// With alternating_flip an image is flipped in every second epoch, half of them in the first: so each way
/// round comes as often, and never twice after each other (Jordan, "94% on CIFAR-10 in 3.29 seconds on a
/// single GPU", 2024, arXiv:2404.00498). Random erasing (Zhong et al. 2017, arXiv:1708.04896) makes zeros of
/// a rectangle of 2 to 40 % of the image, in this share of the images. Mixup (Zhang et al. 2018,
/// arXiv:1710.09412) and cutmix (Yun et al. 2019, arXiv:1905.04899) then mix the images of a batch in pairs,
/// and their labels; where both are on, half of the batches have each.
struct Augmentation {
  int64_t padding = 4;  // in pixels, on each side
  bool flip = true;
  bool alternating_flip = false;
  int64_t cutout = 0;         // the square's side in pixels; 0: none
  double random_erasing = 0;  // share of the images
  double mixup = 0;           // alpha of the distribution Beta(alpha, alpha) of an image's share; 0: none
  double cutmix = 0;          // alpha likewise, of the part of an image that stays

  friend bool operator==(const Augmentation&, const Augmentation&) = default;

  template <class V>
  void visit(V&& v) {
    v("padding", padding,
      {.help = "zeros around a training image before its random crop, in pixels", .flag = "pad"});
    v("flip", flip, {.help = "flip half of the training images from left to right"});
    v("alternating_flip", alternating_flip,
      {.help = "flip each training image in every second epoch, instead of at random", .is_used = flip});
    v("cutout", cutout,
      {.help = "side of a square of a training image that becomes zeros, in pixels; 0: none", .most = 65536});
    v("random_erasing", random_erasing,
      {.help = "share of the training images in which a random rectangle becomes zeros", .most = 1});
    v("mixup", mixup,
      {.help = "alpha of mixup, which adds images of a batch, and their labels, in pairs; 0: none",
       .most = 1e3});
    v("cutmix", cutmix,
      {.help = "alpha of cutmix, which puts a rectangle of another image into each; 0: none", .most = 1e3});
  }
};

/// Images ready for a network.
struct Batch {
  Tensor images;  // [B, H, W, 3], normalised; f32 unless Batches is asked for another dtype
  Tensor labels;  // i32 [B]
  // Where images are mixed in pairs, else undefined:
  Tensor partners{};      // i32 [B]: labels of what they are mixed with
  Tensor label_weight{};  // f32 []: of `labels`; `partners` have the rest
};

/// The images `indices` of `set`, normalised, and augmented if asked for, as batch number `batch` of an
/// epoch; or a part of it, the one of number `share` of `shares` of equal size. How image i is varied depends
/// on (seed, epoch, i) alone, how a batch is mixed on (seed, epoch, batch). An Error for an index outside the
/// set or a set of another type.
Batch make_batch(const ImageSet& set, std::span<const int64_t> indices,
                 const ImageNormalisation& normalisation, const std::optional<Augmentation>& augmentation,
                 uint64_t seed, uint32_t epoch, int64_t batch = 0, int64_t share = 0, int64_t shares = 1);

/// How the batches first, ..., first + count - 1 of an epoch are mixed, for kernels::gather_batch; undefined
/// where they are not.  f32 [count, 6]
Tensor draw_mixing(const std::optional<Augmentation>& augmentation, uint64_t seed, int64_t epoch,
                   int64_t first, int64_t count, int64_t H, int64_t W);

/// An Error unless a set's images and labels are what make_batch takes, and the augmentation fits them.
void check_images(const ImageSet& set, const std::optional<Augmentation>& augmentation);
/// Room for a batch of images of this shape.
Batch empty_batch(const Shape& images, Dtype dtype, Device device, bool is_mixed);
/// Whether the images of a batch are mixed in pairs.
bool is_mixed(const std::optional<Augmentation>& augmentation);
/// Images first, ..., first + count - 1 of a batch; shares the storage.
Batch part_of(const Batch& batch, int64_t first, int64_t count);
/// The labels of a batch as kernels take them; shares the storage.
kernels::BatchLabels batch_labels(const Batch& batch);
/// What each byte becomes: (byte / 255 - mean) / deviation.  f32 [3, 256]
Tensor normalised_bytes(const ImageNormalisation& normalisation);
/// An augmentation, or none, as the kernel that makes batches takes it.
kernels::BatchSettings batch_settings(const std::optional<Augmentation>& augmentation, uint64_t seed,
                                      int64_t share = 0, int64_t shares = 1);

}  // namespace fovea
#pragma GCC visibility pop
