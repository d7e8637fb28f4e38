#include "fovea/core/file_kind.h"

#include <algorithm>

namespace fovea {
namespace {

using namespace std::string_view_literals;

/// The bytes at a place of a file by which its kind is known.
struct Kind {
  size_t offset;
  std::string_view bytes;
  const char* name;
};

// Those that are taken for an image or a checkpoint, or stand in the place of one. The first that fits
// counts.
constexpr Kind kKinds[] = {
    {0, "\x89PNG"sv, "a PNG image"},
    {0, "\xff\xd8\xff"sv, "a JPEG image"},
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
    {8, "{\""sv, "a safetensors file"},
    {0, "\0\0\0\0\0\0\0\0"sv, "a file that begins with zeros, as one whose contents were lost,"},
};

// ASCII, and whatever goes for letters in UTF-8, of which the last may be cut.
bool is_text(std::string_view begin) {
  const auto is_ascii = [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; };
  const auto is_within_letter = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
  for (size_t i = 0; i < begin.size(); ++i) {
    if (is_ascii(begin[i])) continue;
    const auto first = static_cast<unsigned char>(begin[i]);
    const size_t more = first >= 0xc2 && first <= 0xdf ? 1 : first >= 0xe0 && first <= 0xef ? 2 : 3;
    if (first < 0xc2 || first > 0xf4) return false;
    size_t k = 0;
    for (; k < more && i + 1 < begin.size(); ++k) {
      if (!is_within_letter(begin[++i])) return false;
    }
    if (k < more && begin.size() < kFileKindBytes) return false;
  }
  return !begin.empty();
}

}  // namespace

std::string kind_of_file(std::string_view begin) {
  begin = begin.substr(0, kFileKindBytes);
  const auto found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) {
    return begin.size() >= kind.offset && begin.substr(kind.offset).starts_with(kind.bytes);
  });
  if (found != std::end(kKinds)) return found->name;
  return is_text(begin) ? "a text file" : "";
}

}  // namespace fovea
