#pragma once

#include <cstdint>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// An image at another size, without aliasing: each new pixel is the mean of those around its place, weighted
/// by a triangle that reaches one new pixel, or one old one where there are fewer of those, to each side.
/// Bytes as Pillow's Image.resize with BILINEAR has them.  u8 [h, w, 3] -> u8 [H, W, 3]
/// An Error for an image of another type, or a size below 1.
Tensor resized(const Tensor& image, int64_t H, int64_t W);

/// The centre of an image whose shorter side is brought to `size`: torchvision's Resize(size) and
/// CenterCrop(size) of a Pillow image. Computes only what is kept.  u8 [h, w, 3] -> u8 [size, size, 3]
Tensor resized_and_cropped(const Tensor& image, int64_t size);

/// The same images by resized_and_cropped, in memory of their own; the set itself where they have that size.
ImageSet resized_and_cropped(const ImageSet& set, int64_t size);

}  // namespace fovea
#pragma GCC visibility pop
