#include "image_file.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "fovea/core/check.h"

namespace fovea {
namespace {

// Places in a file: after the signature, a length, IHDR, width and height.
constexpr size_t kDepth = 24, kColourType = 25;

/// libpng's state of one image, given back at the end.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

/// A file that is being read, and why that failed. libpng asks for some kilobytes at once, out of which come
/// at most a thousand times as many: often enough to look for a stop.
struct Source {
  bool stop() {
    is_stopped = is_stopped || (should_stop && should_stop());
    return is_stopped;
  }

  std::span<const std::byte> left;
  const StopFunction& should_stop;
  bool is_stopped = false;
  std::array<char, 200> message{};
};

void read_bytes(png_structp png, png_bytep bytes, size_t count) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (source.stop()) png_error(png, "stopped");
  if (count > source.left.size()) png_error(png, "the file ends too soon");
  std::memcpy(bytes, source.left.data(), count);
  source.left = source.left.subspan(count);
}

/// The same for the simplified interface, which has it of a stream alone.
ssize_t read_some(void* cookie, char* bytes, size_t count) {
  auto& source = *static_cast<Source*>(cookie);
  if (source.stop()) return -1;
  count = std::min(count, source.left.size());
  if (count == 0) return 0;  // of an empty file there are no bytes to point to
  std::memcpy(bytes, source.left.data(), count);
  source.left = source.left.subspan(count);
  return static_cast<ssize_t>(count);
}

[[noreturn]] void fail(const Source& source, const std::string& path, const char* message, size_t bytes) {
  if (source.is_stopped) fail_as_stopped("read_png", path);
  if (std::strstr(message, "memory") != nullptr) fail_without_memory(path);
  fail_as_damaged("read_png", path, message, bytes);
}

[[noreturn]] void keep_error(png_structp png, png_const_charp message) {
  auto& source = *static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source.message.data(), source.message.size(), "%s", message);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

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
    if (alpha == 0) return 0xff;
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

/// libpng's state of one 16-bit file, given back at the end.
struct Reader {
  explicit Reader(Source& source)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, keep_error, ignore_warning)),
        info(png != nullptr ? png_create_info_struct(png) : nullptr) {
    if (info != nullptr) png_set_read_fn(png, &source, read_bytes);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  png_structp png;
  png_infop info;
};

/// Up to the rows, which are to be RGB and alpha, and the exponent of their light in 1/100000; 0: the file
/// says none. False, with a message in the source, for a file that is damaged. Nothing here and in read_rows
/// has a destructor: libpng leaves them by a jump.
bool read_header(const Reader& reader, uint32_t H, uint32_t W, png_fixed_point* gamma) {
  png_structp png = reader.png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_info(png, reader.info);
  if (png_get_image_width(png, reader.info) != W || png_get_image_height(png, reader.info) != H ||
      png_get_bit_depth(png, reader.info) != 16) {
    png_error(png, "the header is not the one that was read first");
  }
  if (png_get_gAMA_fixed(png, reader.info, gamma) == 0) *gamma = 0;
  png_set_expand(png);  // a transparent colour becomes alpha
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xffff, PNG_FILLER_AFTER);
  if (std::endian::native == std::endian::little) png_set_swap(png);
  png_read_update_info(png, reader.info);
  return true;
}

/// The pixels (x, y), (x + dx, y), ..., (x, y + dy), ... of an image.
struct Pass {
  uint32_t x, y, dx, dy;
};

/// Adam7 (PNG specification, 8.2).
constexpr Pass kPasses[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                            {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
constexpr Pass kAllRows[] = {{0, 0, 1, 1}};

/// One row of the file after another, whose pixels go to their places in `out`, u8 [H, W, 3]. `row` has room
/// for the four samples of W pixels.
bool read_rows(const Reader& reader, Source& source, const Light& light, uint32_t H, uint32_t W,
               uint16_t* row, uint8_t* out) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  const bool is_interlaced = png_get_interlace_type(reader.png, reader.info) != PNG_INTERLACE_NONE;
  for (const Pass& pass : is_interlaced ? std::span<const Pass>(kPasses) : kAllRows) {
    if (pass.x >= W) continue;
    for (uint32_t h = pass.y; h < H; h += pass.dy) {
      if (source.stop()) return false;
      png_read_row(reader.png, reinterpret_cast<png_bytep>(row), nullptr);
      const uint16_t* sample = row;
      uint8_t* pixel = out + (size_t{h} * W + pass.x) * 3;
      for (uint32_t w = pass.x; w < W; w += pass.dx, sample += 4, pixel += size_t{pass.dx} * 3) {
        for (size_t c = 0; c < 3; ++c) pixel[c] = light.shown(sample[c], sample[3]);
      }
    }
  }
  return true;
}

/// 16 bits by libpng's other interface: the simplified one of some versions (1.6.39 in Debian 12) mixes up
/// the passes of interlaced files without an error, and rounds twice where there is alpha.
Tensor read_16_bit(std::span<const std::byte> bytes, const std::string& path, const StopFunction& should_stop,
                   uint32_t H, uint32_t W) {
  Source source{bytes, should_stop};
  const Reader reader(source);
  if (reader.info == nullptr) fail_without_memory(path);
  png_fixed_point gamma = 0;
  if (!read_header(reader, H, W, &gamma)) fail(source, path, source.message.data(), bytes.size());
  const Light light(gamma);
  std::vector<uint16_t> row(size_t{W} * 4);
  Tensor pixels = Tensor::empty({H, W, 3}, Dtype::u8);
  if (!read_rows(reader, source, light, H, W, row.data(), pixels.data<uint8_t>()))
    fail(source, path, source.message.data(), bytes.size());
  return pixels;
}

// Before memory is taken for the pixels: zlib makes at most 1032 bytes out of one (zlib's technical details,
// "Maximum Compression Factor").
void check_can_hold(std::span<const std::byte> bytes, const std::string& path, const PngImage& image) {
  constexpr uint64_t kMostFromByte = 1032;
  constexpr uint64_t kChannels[] = {1, 0, 3, 1, 2, 0, 4};  // by the colour type
  const uint64_t bits =
      std::to_integer<uint64_t>(bytes[kDepth]) * kChannels[std::to_integer<size_t>(bytes[kColourType])];
  if (uint64_t{image.width} * image.height * bits / 8 <= bytes.size() * kMostFromByte) return;
  fail_as_damaged("read_png", path, str("too few for ", image.width, "x", image.height, " pixels").c_str(),
                  bytes.size());
}

}  // namespace

Tensor parse_png(std::span<const std::byte> bytes, const std::string& path, const StopFunction& should_stop) {
  Source source{bytes, should_stop};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      fopencookie(&source, "rb", {read_some, nullptr, nullptr, nullptr}), std::fclose);
  if (file == nullptr) fail_without_memory(path);
  PngImage image;
  if (png_image_begin_read_from_stdio(&image, file.get()) == 0) {
    if (source.is_stopped) fail_as_stopped("read_png", path);
    throw DataError(str("read_png: ", path, ": not a PNG image (", image.message, "), ", bytes.size(),
                        " bytes found; give an intact file"));
  }
  check_image_size("read_png", path, image.width, image.height);
  check_can_hold(bytes, path, image);
  if (bytes[kDepth] == std::byte{16}) return read_16_bit(bytes, path, should_stop, image.height, image.width);
  Tensor pixels = Tensor::empty({image.height, image.width, 3}, Dtype::u8);
  image.format = PNG_FORMAT_RGB;
  const png_color white{255, 255, 255};
  if (png_image_finish_read(&image, &white, pixels.raw(), /*row_stride=*/0, nullptr) == 0)
    fail(source, path, image.message, bytes.size());
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
  const bool is_written = png_image_write_to_memory(&image, bytes.data(), &size, /*convert_to_8_bit=*/0,
                                                    pixels.raw(), /*row_stride=*/0, nullptr) != 0;
  check<OutOfMemory>(is_written || std::strstr(image.message, "memory") == nullptr,
                     "png_bytes: no memory is left for a picture of ", pixels.shape(),
                     "; end other programs, and go on");
  check(is_written, "png_bytes: ", image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace fovea
