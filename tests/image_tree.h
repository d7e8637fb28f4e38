#pragma once

#include <string>

#include "fovea/data/image_set.h"
#include "image_file.h"
#include "test_files.h"

namespace fovea {

/// A PNG file of H x W pixels of one colour.
inline std::string plain_png(int64_t H, int64_t W, int colour) {
  Tensor image = Tensor::empty({H, W, 3}, Dtype::u8);
  for (int64_t i = 0; i < image.size(); ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(colour);
  return png_bytes(image);
}

/// Writes the images of a set as a tree of PNG files, a folder a class, numbered over all classes in their
/// order. A folder begins with its label, so that the order of the classes is theirs.
inline void write_tree(const std::string& folder, const ImageSet& set) {
  const int64_t H = set.images.shape(1), W = set.images.shape(2);
  for (int64_t n = 0; n < set.size(); ++n) {
    const auto label = static_cast<size_t>(set.labels.data<int32_t>()[n]);
    const std::string number = std::to_string(10000 + n);
    write_file(folder + "/" + std::to_string(label) + " " + set.class_names[label] + "/" + number + ".png",
               png_bytes(set.images.slice(n * H * W * 3, {H, W, 3})));
  }
}

}  // namespace fovea
