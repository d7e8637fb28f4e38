#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "fovea/core/tensor.h"

namespace fovea {

/// What an image may have: a side of JPEG's, and more pixels than the photos of today's telephones. And a
/// file.
constexpr uint32_t kMaxImageSide = 65535, kMaxImagePixels = 1 << 28;
constexpr size_t kMaxImageBytes = size_t{1} << 30;

/// The image in a PNG or JPEG file, u8 [H, W, 3]; which of them it is the first bytes say, not the name.
/// DataError for a file that is missing, damaged, cut short or too large, and for one of another kind, which
/// is named where the first bytes tell.
Tensor read_image(const std::string& path);
/// The same from the file's bytes; `path` is for messages.
Tensor parse_image(std::span<const std::byte> bytes, const std::string& path);
/// Whether a file that begins so is a PNG or JPEG image. kImageBegin bytes are enough to tell.
bool is_image(std::span<const std::byte> begin);
constexpr size_t kImageBegin = 4;

/// PNG: grey and palettes become RGB, 16 bits become 8, rounded from v * 255 / 65535, and what is transparent
/// shows white.
Tensor parse_png(std::span<const std::byte> bytes, const std::string& path);
/// JPEG: baseline and progressive, grey and colour, the way up that its EXIF orientation says. CMYK is
/// refused. What libjpeg would only warn of, such as an end that is missing, is an error.
Tensor parse_jpeg(std::span<const std::byte> bytes, const std::string& path);

/// DataError, which begins with `operation` and `path`, for an image of more pixels than are read.
void check_image_size(const char* operation, const std::string& path, uint32_t width, uint32_t height);

/// A PNG file of an image u8 [H, W, 3].
std::string png_bytes(const Tensor& image);

}  // namespace fovea
