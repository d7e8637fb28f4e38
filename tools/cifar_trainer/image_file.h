#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "fovea/core/tensor.h"

namespace fovea {

/// The image in a PNG file, u8 [1, H, W, 3]. Grey and palettes become RGB, 16 bits become 8, rounded from
/// v * 255 / 65535, and what is transparent shows white. DataError for a file that is missing, damaged, or
/// above 4096x4096 pixels.
Tensor read_png(const std::string& path);

/// The same from the file's bytes; `path` is for messages.
Tensor parse_png(std::span<const std::byte> bytes, const std::string& path);

/// A PNG file of an image u8 [H, W, 3].
std::string png_bytes(const Tensor& image);

}  // namespace fovea
