#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The part of a dataset that is learnt from, and the part that is held back to test with.
enum class Split { train, test };

/// Labelled images in memory, as bytes.
struct ImageSet {
  std::string name;
  Tensor images;  // u8 [N, H, W, 3]
  Tensor labels;  // i32 [N], each in [0, classes())
  std::vector<std::string> class_names;
  std::vector<std::string> files{};  // what each image was read from; empty where that has no name

  /// N
  int64_t size() const { return labels.size(); }
  int64_t classes() const { return static_cast<int64_t>(class_names.size()); }
  /// The first `count` images, or all if there are fewer; shares the memory. UsageError unless count >= 1.
  ImageSet first(int64_t count) const;
};

/// The same images from right to left, in memory of their own.
ImageSet mirrored(const ImageSet& set);

/// Mean and deviation of pixel / 255 in each channel: a network sees (pixel / 255 - mean) / deviation.
struct ImageNormalisation {
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> deviation{1, 1, 1};
};

/// Mean and population deviation over all pixels of `set`, from sums in integers. The deviation of a channel
/// that is the same everywhere counts as 1.
ImageNormalisation normalisation_of(const ImageSet& set);

}  // namespace fovea
#pragma GCC visibility pop
