#pragma once

#include <cstdint>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Drawn images, u8 [count, 32, 32, 3]: one of ten coloured shapes at a random place, in a random size, slant
/// and colour, on a shaded background, with two stray dots over it and noise. Image i is a pure function of
/// (seed, split, i), of class i % 10; the set holds the images from `first` on, and there is no last one.
ImageSet synthetic_images(Split split, int64_t count, uint64_t seed, int64_t first = 0);

}  // namespace fovea
#pragma GCC visibility pop
