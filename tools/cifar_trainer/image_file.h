#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "fovea/core/tensor.h"

namespace fovea {

/// The longest side of an image: that of JPEG.
constexpr uint32_t kMaxImageSide = 65535;
/// The most pixels of an image: more than the photos of today's telephones have.
constexpr uint32_t kMaxImagePixels = 1 << 28;
/// The most bytes of its file.
constexpr size_t kMaxImageBytes = size_t{1} << 30;

/// Asked many times a second while an image is read; yes ends the reading with a DataError. It must not
/// throw. An empty one is never asked.
using StopFunction = std::function<bool()>;

/// The image in a PNG or JPEG file, u8 [H, W, 3]; which of them it is the first bytes say, not the name.
/// DataError for a file that is missing, damaged, cut short or too large, and for one of another kind, which
/// is named where the first bytes tell. OutOfMemory, with the file's name, for one that memory cannot hold.
Tensor read_image(const std::string& path, const StopFunction& should_stop = {});
/// The same from the file's bytes; `path` is for messages.
Tensor parse_image(std::span<const std::byte> bytes, const std::string& path,
                   const StopFunction& should_stop = {});
/// Whether a file that begins so is a PNG or JPEG image. kImageBegin bytes are enough to tell.
bool is_image(std::span<const std::byte> begin);
constexpr size_t kImageBegin = 4;

/// PNG: grey and palettes become RGB, 16 bits become 8, rounded from v * 255 / 65535, and what is transparent
/// shows white.
Tensor parse_png(std::span<const std::byte> bytes, const std::string& path,
                 const StopFunction& should_stop = {});
/// JPEG: baseline and progressive, grey and colour, the way up that its EXIF orientation says. CMYK is
/// refused. What libjpeg would only warn of, such as an end that is missing, is an error, and so is a file
/// that passes over its pixels more often than any program writes it.
Tensor parse_jpeg(std::span<const std::byte> bytes, const std::string& path,
                  const StopFunction& should_stop = {});

/// DataError, which begins with `operation` and `path`, for an image of more pixels than are read.
void check_image_size(const char* operation, const std::string& path, uint32_t width, uint32_t height);
/// Throws the DataError of a file of `bytes` bytes in which a library found a `problem`.
[[noreturn]] void fail_as_damaged(const char* operation, const std::string& path, const char* problem,
                                  size_t bytes);
/// Throws the DataError of an image whose StopFunction said yes.
[[noreturn]] void fail_as_stopped(const char* operation, const std::string& path);
/// Throws the OutOfMemory of an image.
[[noreturn]] void fail_without_memory(const std::string& path);

/// A PNG file of an image u8 [H, W, 3].
std::string png_bytes(const Tensor& image);

}  // namespace fovea
