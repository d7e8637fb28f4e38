#include "image_file.h"

#include <iomanip>
#include <new>
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

/// The image that `read` gives; a lack of memory in it is said with the file's name.
template <class Read>
Tensor image_of(const std::string& path, const Read& read) {
  try {
    return read();
  } catch (const OutOfMemory&) {
  } catch (const std::bad_alloc&) {
  }
  fail_without_memory(path);
}

}  // namespace

bool is_image(std::span<const std::byte> begin) {
  return text_of(begin).starts_with(kPng) || text_of(begin).starts_with(kJpeg);
}

Tensor parse_image(std::span<const std::byte> bytes, const std::string& path,
                   const StopFunction& should_stop) {
  const std::string_view file = text_of(bytes);
  check<DataError>(!file.empty(), "image: ", path, ": the file is empty; ", kAdvice);
  if (file.starts_with(kPng)) return image_of(path, [&] { return parse_png(bytes, path, should_stop); });
  if (file.starts_with(kJpeg)) return image_of(path, [&] { return parse_jpeg(bytes, path, should_stop); });
  throw DataError(
      str("image: ", path, ": ", kind_or_bytes(file), " found, wanted PNG or JPEG; save it as one of them"));
}

Tensor read_image(const std::string& path, const StopFunction& should_stop) {
  return image_of(path, [&] {
    return parse_image(read_file("image", path, kMaxImageBytes, kAdvice), path, should_stop);
  });
}

void check_image_size(const char* operation, const std::string& path, uint32_t width, uint32_t height) {
  check<DataError>(
      width <= kMaxImageSide && height <= kMaxImageSide && uint64_t{width} * height <= kMaxImagePixels,
      operation, ": ", path, ": ", width, "x", height, " pixels, expected at most ", kMaxImageSide,
      " a side and ", kMaxImagePixels, " in all; make it smaller");
}

void fail_as_damaged(const char* operation, const std::string& path, const char* problem, size_t bytes) {
  throw DataError(str(operation, ": ", path, ": the image is damaged or cut short (", problem, "), ", bytes,
                      " bytes found; give an intact file"));
}

void fail_as_stopped(const char* operation, const std::string& path) {
  throw DataError(str(operation, ": ", path, ": stopped before the end of the image"));
}

void fail_without_memory(const std::string& path) {
  throw OutOfMemory(
      str("image: ", path, ": no memory is left for this image; make it smaller, or end other programs"));
}

}  // namespace fovea
