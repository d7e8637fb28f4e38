#include "image_file.h"

#include <png.h>

#include <array>
#include <bit>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "fovea/core/check.h"

namespace fovea {
namespace {

constexpr const char* kAdvice = "give an intact PNG file";

/// libpng's state of one image, given back at the end.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

/// A file that is being read, and why that failed.
struct Source {
  std::span<const std::byte> left;
  std::array<char, 200> message{};
};

void read_bytes(png_structp png, png_bytep bytes, size_t count) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (count > source.left.size()) png_error(png, "the file ends too soon");
  std::memcpy(bytes, source.left.data(), count);
  source.left = source.left.subspan(count);
}

[[noreturn]] void keep_error(png_structp png, png_const_charp message) {
  auto& source = *static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source.message.data(), source.message.size(), "%s", message);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

/// The rows of a 16-bit image as RGB and alpha, [H, W, 4], and the exponent of its light in 1/100000; 0: it
/// says none. False, with a message in `source`, for a file that is damaged. Nothing here has a destructor:
/// libpng leaves it by a jump.
bool read_rgba16(Source& source, uint16_t* pixels, uint32_t H, uint32_t W, png_fixed_point* gamma) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, keep_error, ignore_warning);
  if (png == nullptr) return false;
  png_infop info = png_create_info_struct(png);
  if (setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  if (info == nullptr) png_error(png, "out of memory");
  png_set_read_fn(png, &source, read_bytes);
  png_read_info(png, info);
  if (png_get_image_width(png, info) != W || png_get_image_height(png, info) != H ||
      png_get_bit_depth(png, info) != 16) {
    png_error(png, "the header is not the one that was read first");
  }
  if (png_get_gAMA_fixed(png, info, gamma) == 0) *gamma = 0;
  png_set_expand(png);  // a transparent colour becomes alpha
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xffff, PNG_FILLER_AFTER);
  if (std::endian::native == std::endian::little) png_set_swap(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  for (int pass = 0; pass < passes; ++pass) {
    for (uint32_t h = 0; h < H; ++h) {
      png_read_row(png, reinterpret_cast<png_bytep>(pixels + size_t{h} * W * 4), nullptr);
    }
  }
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

/// What a 16-bit sample of a file is on a screen. As libpng has it for 8 bits: light is a power of a sample,
/// 2.2 where the file says no other, and it is light that is mixed with the background.
class Light {
 public:
  /// `gamma`: as in gAMA, 100000 divided by the power; 0: none.
  explicit Light(png_fixed_point gamma) : light_(65536), shown_(65536) {
    constexpr double kSignificant = 0.05;  // closer to the screen's is meant as the screen's
    const double exponent = gamma / 100000.0;
    const bool is_screen = gamma <= 0 || std::abs(exponent * kScreen - 1) < kSignificant;
    for (uint32_t v = 0; v < 65536; ++v) {
      light_[v] = std::pow(v / 65535.0, is_screen ? kScreen : 1 / exponent);
      shown_[v] = is_screen ? static_cast<uint8_t>((v * 255 + 32767) / 65535) : encode(light_[v]);
    }
  }

  /// A sample in front of white.
  uint8_t shown(uint16_t v, uint16_t alpha) const {
    if (alpha == 0xffff) return shown_[v];
    const double opacity = alpha / 65535.0;
    return encode(opacity * light_[v] + 1 - opacity);
  }

 private:
  static constexpr double kScreen = 2.2;
  static uint8_t encode(double light) {
    return static_cast<uint8_t>(std::lround(255 * std::pow(light, 1 / kScreen)));
  }

  std::vector<double> light_;
  std::vector<uint8_t> shown_;
};

/// 16 bits by libpng's other interface: the simplified one of some versions (1.6.39 in Debian 12) mixes up
/// the passes of interlaced files without an error, and rounds twice where there is alpha.
void read_16_bit(std::span<const std::byte> bytes, const std::string& path, const PngImage& image,
                 Tensor& pixels) {
  Source source{bytes};
  std::vector<uint16_t> samples(size_t{image.height} * image.width * 4);
  png_fixed_point gamma = 0;
  check<DataError>(read_rgba16(source, samples.data(), image.height, image.width, &gamma), "read_png: ", path,
                   ": the image is damaged or cut short (", source.message.data(), "), ", bytes.size(),
                   " bytes found; ", kAdvice);
  const Light light(gamma);
  auto* out = static_cast<uint8_t*>(pixels.raw());
  for (size_t i = 0; i < samples.size() / 4; ++i) {
    for (size_t c = 0; c < 3; ++c) out[3 * i + c] = light.shown(samples[4 * i + c], samples[4 * i + 3]);
  }
}

}  // namespace

Tensor parse_png(std::span<const std::byte> bytes, const std::string& path) {
  PngImage image;
  check<DataError>(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0,
                   "read_png: ", path, ": not a PNG image (", image.message, "), ", bytes.size(),
                   " bytes found; ", kAdvice);
  check_image_size("read_png", path, image.width, image.height);
  Tensor pixels = Tensor::empty({image.height, image.width, 3}, Dtype::u8);
  constexpr size_t kDepth = 24;  // its place in a file: after the signature, a length, IHDR, width and height
  if (bytes[kDepth] == std::byte{16}) {
    read_16_bit(bytes, path, image, pixels);
    return pixels;
  }
  image.format = PNG_FORMAT_RGB;
  const png_color white{255, 255, 255};
  check<DataError>(png_image_finish_read(&image, &white, pixels.raw(), /*row_stride=*/0, nullptr) != 0,
                   "read_png: ", path, ": the image is damaged or cut short (", image.message, "), ",
                   bytes.size(), " bytes found; ", kAdvice);
  return pixels;
}

std::string png_bytes(const Tensor& pixels) {
  check(pixels.dtype() == Dtype::u8 && pixels.rank() == 3 && pixels.shape(2) == 3, "png_bytes: ", pixels,
        ", wanted u8[H, W, 3]");
  PngImage image;
  image.height = static_cast<png_uint_32>(pixels.shape(0));
  image.width = static_cast<png_uint_32>(pixels.shape(1));
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  check(png_image_write_to_memory(&image, bytes.data(), &size, /*convert_to_8_bit=*/0, pixels.raw(),
                                  /*row_stride=*/0, nullptr) != 0,
        "png_bytes: ", image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace fovea
