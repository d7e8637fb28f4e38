#include "image_file.h"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string_view>

#include "fovea/core/check.h"
#include "fovea/data/file.h"

namespace fovea {
namespace {

using namespace std::string_view_literals;

constexpr const char* kAdvice = "give a PNG or JPEG file";
constexpr auto kPng = "\x89PNG"sv, kJpeg = "\xff\xd8\xff"sv;

/// The bytes at a place of a file by which its kind is known.
struct Kind {
  size_t offset;
  std::string_view bytes;
  const char* name;
};

// Those that are taken for an image, or stand in the place of one. The first that fits counts.
constexpr Kind kKinds[] = {
    {0, "GIF8"sv, "a GIF image"},
    {8, "WEBP"sv, "a WebP image"},
    {4, "ftypheic"sv, "a HEIC image"},
    {4, "ftypheix"sv, "a HEIC image"},
    {4, "ftypheim"sv, "a HEIC image"},
    {4, "ftypheis"sv, "a HEIC image"},
    {4, "ftyphevc"sv, "a HEIC image"},
    {4, "ftypmif1"sv, "a HEIF image"},
    {4, "ftypmsf1"sv, "a HEIF image"},
    {4, "ftypavi"sv, "an AVIF image"},
    {4, "ftypcrx"sv, "a camera's raw image"},
    {4, "ftyp"sv, "an MP4 or QuickTime video"},
    {0, "BM"sv, "a BMP image"},
    {0, "II*\0"sv, "a TIFF or a camera's raw image"},
    {0, "MM\0*"sv, "a TIFF or a camera's raw image"},
    {0, "FUJIFILM"sv, "a camera's raw image"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "%!PS"sv, "a PostScript document"},
    {0, "<svg"sv, "an SVG drawing"},
    {0, "<?xml"sv, "an XML document or SVG drawing"},
    {0, "<!DOCTYPE"sv, "a web page, and no image,"},
    {0, "<!doctype"sv, "a web page, and no image,"},
    {0, "<html"sv, "a web page, and no image,"},
    {0, "8BPS"sv, "a Photoshop document"},
    {0, "gimp xcf"sv, "a GIMP document"},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 image"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL image"},
    {0, "\xff\x0a"sv, "a JPEG XL image"},
    {0, "\0\0\1\0"sv, "an icon (ICO)"},
    {0, "P1\n"sv, "a PBM image"},
    {0, "P2\n"sv, "a PGM image"},
    {0, "P3\n"sv, "a PPM image"},
    {0, "P4\n"sv, "a PBM image"},
    {0, "P5\n"sv, "a PGM image"},
    {0, "P6\n"sv, "a PPM image"},
    {0, "\x93NUMPY"sv, "an array of NumPy"},
    {0, "PK\3\4"sv, "a ZIP archive"},
    {0, "\x1f\x8b"sv, "a gzip archive"},
    {0, "\x80\2"sv, "a pickle of Python's"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
    {0, "\0\0\0\0\0\0\0\0"sv, "a file that begins with zeros, as one whose contents were lost,"},
};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "a GIF image", or the first bytes.
std::string kind_of(std::string_view file) {
  const auto found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) {
    return file.size() >= kind.offset && file.substr(kind.offset).starts_with(kind.bytes);
  });
  if (found != std::end(kKinds)) return found->name;
  std::ostringstream text;
  text << "a file that begins with" << std::hex << std::setfill('0');
  for (const char c : file.substr(0, 8))
    text << ' ' << std::setw(2) << static_cast<int>(static_cast<uint8_t>(c));
  return text.str();
}

}  // namespace

bool is_image(std::span<const std::byte> begin) {
  return text_of(begin).starts_with(kPng) || text_of(begin).starts_with(kJpeg);
}

Tensor parse_image(std::span<const std::byte> bytes, const std::string& path) {
  const std::string_view file = text_of(bytes);
  check<DataError>(!file.empty(), "read_image: ", path, ": the file is empty; ", kAdvice);
  if (file.starts_with(kPng)) return parse_png(bytes, path);
  if (file.starts_with(kJpeg)) return parse_jpeg(bytes, path);
  throw DataError(
      str("read_image: ", path, ": ", kind_of(file), " found, wanted PNG or JPEG; save it as one of them"));
}

Tensor read_image(const std::string& path) {
  return parse_image(read_file("read_image", path, kMaxImageBytes, kAdvice), path);
}

void check_image_size(const char* operation, const std::string& path, uint32_t width, uint32_t height) {
  check<DataError>(
      width <= kMaxImageSide && height <= kMaxImageSide && uint64_t{width} * height <= kMaxImagePixels,
      operation, ": ", path, ": ", width, "x", height, " pixels, expected at most ", kMaxImageSide,
      " a side and ", kMaxImagePixels, " in all; make it smaller");
}

}  // namespace fovea
