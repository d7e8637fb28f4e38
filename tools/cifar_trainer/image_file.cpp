#include "image_file.h"

#include <png.h>

#include <cstring>

#include "fovea/core/check.h"
#include "fovea/data/file.h"

namespace fovea {
namespace {

constexpr size_t kMaxFileBytes = size_t{64} << 20;
constexpr uint32_t kMaxSide = 4096;
constexpr const char* kAdvice = "give an intact PNG file";

/// libpng's state of one image, given back at the end.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

}  // namespace

Tensor parse_png(std::span<const std::byte> bytes, const std::string& path) {
  PngImage image;
  check<DataError>(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0,
                   "read_png: ", path, ": not a PNG image (", image.message, "), ", bytes.size(),
                   " bytes found; ", kAdvice);
  check<DataError>(image.width <= kMaxSide && image.height <= kMaxSide, "read_png: ", path, ": ", image.width,
                   "x", image.height, " pixels, expected at most ", kMaxSide, "x", kMaxSide,
                   "; make it smaller");
  // Otherwise 16-bit images without a colour space would count as linear light.
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  image.format = PNG_FORMAT_RGB;
  Tensor pixels = Tensor::empty({1, image.height, image.width, 3}, Dtype::u8);
  const png_color white{255, 255, 255};
  check<DataError>(png_image_finish_read(&image, &white, pixels.raw(), /*row_stride=*/0, nullptr) != 0,
                   "read_png: ", path, ": the image is damaged or cut short (", image.message, "), ",
                   bytes.size(), " bytes found; ", kAdvice);
  return pixels;
}

Tensor read_png(const std::string& path) {
  return parse_png(read_file("read_png", path, kMaxFileBytes, kAdvice), path);
}

}  // namespace fovea
