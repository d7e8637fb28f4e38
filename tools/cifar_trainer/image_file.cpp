#include "image_file.h"

#include <iomanip>
#include <sstream>
#include <string_view>

#include "fovea/core/check.h"
#include "fovea/core/file_kind.h"
#include "fovea/data/file.h"

namespace fovea {
namespace {

using namespace std::string_view_literals;

constexpr const char* kAdvice = "give a PNG or JPEG file";
constexpr auto kPng = "\x89PNG"sv, kJpeg = "\xff\xd8\xff"sv;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "a GIF image", or the first bytes.
std::string kind_or_bytes(std::string_view file) {
  if (const std::string kind = kind_of_file(file); !kind.empty()) return kind;
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
  check<DataError>(!file.empty(), "image: ", path, ": the file is empty; ", kAdvice);
  if (file.starts_with(kPng)) return parse_png(bytes, path);
  if (file.starts_with(kJpeg)) return parse_jpeg(bytes, path);
  throw DataError(
      str("image: ", path, ": ", kind_or_bytes(file), " found, wanted PNG or JPEG; save it as one of them"));
}

Tensor read_image(const std::string& path) {
  return parse_image(read_file("image", path, kMaxImageBytes, kAdvice), path);
}

void check_image_size(const char* operation, const std::string& path, uint32_t width, uint32_t height) {
  check<DataError>(
      width <= kMaxImageSide && height <= kMaxImageSide && uint64_t{width} * height <= kMaxImagePixels,
      operation, ": ", path, ": ", width, "x", height, " pixels, expected at most ", kMaxImageSide,
      " a side and ", kMaxImagePixels, " in all; make it smaller");
}

}  // namespace fovea
