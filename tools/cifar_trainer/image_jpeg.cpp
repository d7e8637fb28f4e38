#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // for jpeglib.h, which does not include it
#include <cstring>

#include <jpeglib.h>

#include <jerror.h>

#include "fovea/core/check.h"
#include "image_file.h"

namespace fovea {
namespace {

// A file of a few bytes can have thousands of scans, each of which passes over all pixels. Programs write
// about ten, and 32 of the largest image take seconds.
constexpr int kMaxScans = 500;
constexpr uint64_t kMaxScannedPixels = uint64_t{32} * kMaxImagePixels;

/// libjpeg's state of one file, given back at the end, and where it goes on after an error.
struct Reader {
  explicit Reader(const StopFunction& stop) : should_stop(stop) {}
  ~Reader() { jpeg_destroy_decompress(&info); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  const StopFunction& should_stop;
  bool is_stopped = false;
};

Reader& reader_of(j_common_ptr info) {
  return *static_cast<Reader*>(info->client_data);
}

[[noreturn]] void keep_error(j_common_ptr info) {
  Reader& reader = reader_of(info);
  info->err->format_message(info, reader.message.data());
  std::longjmp(reader.jump, 1);
}

// A warning, below 0, is of damage that libjpeg would make up pixels for, but for that of a later version of
// JFIF.
void keep_warning(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code != JWRN_JFIF_MAJOR) keep_error(info);
}

void write_nothing(j_common_ptr) {}

// libjpeg calls it for every row of blocks of each scan, and for every row of pixels.
void watch(j_common_ptr any) {
  Reader& reader = reader_of(any);
  const jpeg_decompress_struct& info = reader.info;
  if (reader.should_stop && reader.should_stop()) {
    reader.is_stopped = true;
    std::longjmp(reader.jump, 1);
  }
  const uint64_t pixels = uint64_t{info.image_width} * info.image_height;
  const auto most = static_cast<int>(std::min<uint64_t>(kMaxScans, kMaxScannedPixels / pixels));
  if (info.input_scan_number <= most) return;
  std::snprintf(reader.message.data(), reader.message.size(), "more than %d scans of %ux%u pixels", most,
                info.image_width, info.image_height);
  std::longjmp(reader.jump, 1);
}

/// Up to the first scan. False, with a message, for a file that is damaged. Nothing here, in start and in
/// read_pixels has a destructor: libjpeg leaves them by a jump.
bool read_header(Reader& reader, std::span<const std::byte> bytes) {
  jpeg_decompress_struct& info = reader.info;
  info.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = keep_error;
  reader.errors.emit_message = keep_warning;
  reader.errors.output_message = write_nothing;
  info.client_data = &reader;
  if (setjmp(reader.jump) != 0) return false;
  jpeg_create_decompress(&info);  // keeps err and client_data
  reader.progress.progress_monitor = watch;
  info.progress = &reader.progress;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()),
               static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&info, TRUE);
  return true;
}

/// Up to the pixels: all scans of a file that has several.
bool start(Reader& reader) {
  if (setjmp(reader.jump) != 0) return false;
  reader.info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&reader.info);
  return true;
}

/// Where the pixels of a file go: the first one, and how far the next to the right and the next row are.
struct Placement {
  uint8_t* first;
  std::ptrdiff_t column, row;
};

bool read_pixels(Reader& reader, const Placement& placement) {
  jpeg_decompress_struct& info = reader.info;
  if (setjmp(reader.jump) != 0) return false;
  JSAMPARRAY rows =
      info.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&info), JPOOL_IMAGE, info.output_width * 3, 1);
  while (info.output_scanline < info.output_height) {
    uint8_t* out = placement.first + static_cast<std::ptrdiff_t>(info.output_scanline) * placement.row;
    jpeg_read_scanlines(&info, rows, 1);
    const JSAMPLE* pixel = rows[0];
    for (JDIMENSION x = 0; x < info.output_width; ++x, pixel += 3, out += placement.column)
      std::memcpy(out, pixel, 3);
  }
  jpeg_finish_decompress(&info);
  return true;
}

/// The pages of a TIFF file, as which EXIF is written; 0 for what is beyond its end.
class Tiff {
 public:
  explicit Tiff(std::span<const uint8_t> bytes) : bytes_(bytes) {
    is_big_endian_ = bytes.size() >= 2 && bytes[0] == 'M';
  }
  uint32_t number(size_t at, size_t count) const {
    if (at > bytes_.size() || bytes_.size() - at < count) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | bytes_[at + (is_big_endian_ ? i : count - 1 - i)];
    return value;
  }
  bool is_valid() const {
    return bytes_.size() >= 8 && bytes_[0] == bytes_[1] && (bytes_[0] == 'I' || bytes_[0] == 'M') &&
           number(2, 2) == 42;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool is_big_endian_;
};

/// EXIF 2.3, 4.6.4: the tag 0x0112 of the first directory. 1, the way it is stored, where there is none that
/// makes sense.
uint32_t orientation_of(const jpeg_decompress_struct& info) {
  constexpr std::array<uint8_t, 6> kExif = {'E', 'x', 'i', 'f', 0, 0};
  constexpr uint32_t kOrientation = 0x0112, kShort = 3;
  constexpr size_t kEntry = 12;
  for (jpeg_saved_marker_ptr marker = info.marker_list; marker != nullptr; marker = marker->next) {
    const std::span<const uint8_t> data(marker->data, marker->data_length);
    if (data.size() < kExif.size() || !std::equal(kExif.begin(), kExif.end(), data.begin())) continue;
    const Tiff tiff(data.subspan(kExif.size()));
    if (!tiff.is_valid()) continue;
    const size_t directory = tiff.number(4, 4);
    const uint32_t entries = tiff.number(directory, 2);
    for (uint32_t i = 0; i < entries; ++i) {
      const size_t entry = directory + 2 + i * kEntry;
      if (tiff.number(entry, 2) != kOrientation || tiff.number(entry + 2, 2) != kShort) continue;
      const uint32_t value = tiff.number(entry + 8, 2);
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}

/// An image u8 [H, W, 3] for a file of width x height pixels, and where its pixels go: 2, 4: mirrored; 3:
/// upside down; 5 to 8: turned on its side.
std::pair<Tensor, Placement> place(uint32_t orientation, int64_t width, int64_t height) {
  const bool is_turned = orientation >= 5;
  const int64_t H = is_turned ? width : height, W = is_turned ? height : width;
  const bool is_from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool is_from_below = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  Tensor image = Tensor::empty({H, W, 3}, Dtype::u8);
  const std::ptrdiff_t right = is_from_right ? -3 : 3, down = (is_from_below ? -3 : 3) * W;
  uint8_t* first =
      image.data<uint8_t>() + (is_from_right ? (W - 1) * 3 : 0) + (is_from_below ? (H - 1) * W * 3 : 0);
  const Placement placement = is_turned ? Placement{first, down, right} : Placement{first, right, down};
  return {std::move(image), placement};
}

[[noreturn]] void fail(const Reader& reader, const std::string& path, size_t bytes) {
  const char* message = reader.message.data();
  if (reader.is_stopped) fail_as_stopped("read_jpeg", path);
  switch (reader.errors.msg_code) {
    case JERR_OUT_OF_MEMORY: fail_without_memory(path);
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_IMAGE_TOO_BIG:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
      throw DataError(
          str("read_jpeg: ", path, ": a kind of JPEG that is not read (", message,
              "), wanted baseline or progressive, 8 bits, grey or colour; save it anew as such, or as PNG"));
    default: fail_as_damaged("read_jpeg", path, message, bytes);
  }
}

// Before memory is taken for the coefficients and pixels: Huffman's codes spend at least a bit on each block
// of 8x8, arithmetic ones perhaps a quarter of that.
void check_can_hold(std::span<const std::byte> bytes, const std::string& path,
                    const jpeg_decompress_struct& info) {
  constexpr uint64_t kMostPixelsFromByte = 4 * 8 * 64;
  if (uint64_t{info.image_width} * info.image_height <= bytes.size() * kMostPixelsFromByte) return;
  fail_as_damaged("read_jpeg", path,
                  str("too few for ", info.image_width, "x", info.image_height, " pixels").c_str(),
                  bytes.size());
}

}  // namespace

Tensor parse_jpeg(std::span<const std::byte> bytes, const std::string& path,
                  const StopFunction& should_stop) {
  Reader reader(should_stop);
  if (!read_header(reader, bytes)) fail(reader, path, bytes.size());
  const jpeg_decompress_struct& info = reader.info;
  check_image_size("read_jpeg", path, info.image_width, info.image_height);
  const J_COLOR_SPACE colours = info.jpeg_color_space;
  check<DataError>(
      colours != JCS_CMYK && colours != JCS_YCCK, "read_jpeg: ", path,
      ": CMYK colours found, as for print, wanted RGB or grey; open it in an image editor and save it as "
      "RGB");
  check<DataError>(colours == JCS_GRAYSCALE || colours == JCS_RGB || colours == JCS_YCbCr,
                   "read_jpeg: ", path, ": ", info.num_components, " channels found, wanted 3 or 1; ",
                   "give an intact JPEG file");
  check_can_hold(bytes, path, info);
  if (!start(reader)) fail(reader, path, bytes.size());
  auto [image, placement] = place(orientation_of(info), info.image_width, info.image_height);
  if (!read_pixels(reader, placement)) fail(reader, path, bytes.size());
  return std::move(image);
}

}  // namespace fovea
