#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Which `count` images hold_out takes, in their order, of those with these labels in [0, classes).
/// `name`: of the set, for messages. UsageError unless 1 <= count < labels.size(), an Error for a label that
/// is none of the classes.
std::vector<int64_t> held_out_images(std::span<const int32_t> labels, int64_t classes, int64_t count,
                                     uint64_t seed, const std::string& name);

/// Takes `count` images out of `set`, to decide by, and returns them: of each class as large a part as of
/// all, which ones is drawn by the seed. Both keep their order. Changes the memory of `set`, and of sets that
/// share it. UsageError unless 1 <= count < set.size(), an Error for a label that is none of the classes.
ImageSet hold_out(ImageSet& set, int64_t count, uint64_t seed);

/// Gives this share of the images, drawn by the seed, another label, each of the other classes as often: the
/// label noise of Wang et al. 2017, section 4.1. The labels lie in new memory. UsageError unless 0 <= share
/// <= 1, and for a single class.
void add_label_noise(ImageSet& set, double share, uint64_t seed);

}  // namespace fovea
#pragma GCC visibility pop
