#include "fovea/data/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/file_kind.h"
#include "fovea/core/printable.h"

namespace fovea {
namespace {

constexpr const char* kAdvice = "; write it with numpy.save";
constexpr std::string_view kMagic = "\x93NUMPY";

/// A literal of a dictionary of Python's, read from the begin of a text on.
class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  /// Whether this comes next; then it is behind it.
  bool take(std::string_view word) {
    skip_spaces();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  /// 'text', without escapes
  std::optional<std::string> take_text() {
    skip_spaces();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return text;
  }
  std::optional<int64_t> take_number() {
    skip_spaces();
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
    if (error != std::errc() || number < 0) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return number;
  }
  /// (1, 2), (1,) or ()
  std::optional<std::vector<int64_t>> take_tuple() {
    std::vector<int64_t> numbers;
    if (!take("(")) return std::nullopt;
    while (!take(")")) {
      const std::optional<int64_t> number = take_number();
      if (!number) return std::nullopt;
      numbers.push_back(*number);
      if (take(",")) continue;
      return take(")") ? std::optional(numbers) : std::nullopt;
    }
    return numbers;
  }
  bool is_at_end() {
    skip_spaces();
    return text_.empty();
  }

 private:
  void skip_spaces() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t'))
      text_.remove_prefix(1);
  }
  std::string_view text_;
};

struct Description {
  std::optional<std::string> type;
  std::optional<bool> is_fortran;
  std::optional<std::vector<int64_t>> shape;
  bool is_plain = true;  // false: the type is a list of fields
};

/// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }; nothing for another text.
std::optional<Description> description_of(std::string_view text) {
  Literal literal(text);
  Description found;
  if (!literal.take("{")) return std::nullopt;
  while (!literal.take("}")) {
    const std::optional<std::string> key = literal.take_text();
    if (!key || !literal.take(":")) return std::nullopt;
    if (*key == "descr" && !found.type) {
      if (literal.take("[")) return Description{.type = {}, .is_fortran = {}, .shape = {}, .is_plain = false};
      found.type = literal.take_text();
      if (!found.type) return std::nullopt;
    } else if (*key == "fortran_order" && !found.is_fortran) {
      found.is_fortran = literal.take("True");
      if (!*found.is_fortran && !literal.take("False")) return std::nullopt;
    } else if (*key == "shape" && !found.shape) {
      found.shape = literal.take_tuple();
      if (!found.shape) return std::nullopt;
    } else {
      return std::nullopt;
    }
    if (literal.take(",")) continue;
    if (!literal.take("}")) return std::nullopt;
    break;
  }
  const bool is_whole = literal.is_at_end() && found.type && found.is_fortran && found.shape;
  return is_whole ? std::optional(found) : std::nullopt;
}

/// Bytes of a number of a type such as "<i8"; 0 for what is no number.
uint64_t bytes_of_type(const std::string& type) {
  constexpr std::string_view kKinds = "biufc";
  uint64_t bytes = 0;
  if (type.size() < 3 || std::string_view("|<>=").find(type[0]) == std::string_view::npos ||
      kKinds.find(type[1]) == std::string_view::npos) {
    return 0;
  }
  const char* const end = type.data() + type.size();
  const auto result = std::from_chars(type.data() + 2, end, bytes);
  return result.ec == std::errc() && result.ptr == end && bytes <= 32 ? bytes : 0;
}

/// The product; nothing where it has more than 62 bits.
std::optional<uint64_t> product_of(const std::vector<int64_t>& extents, uint64_t bytes) {
  uint64_t product = bytes;
  bool is_empty = false;
  for (const int64_t extent : extents) {
    is_empty = is_empty || extent == 0;
    const uint64_t factor = std::max<uint64_t>(1, static_cast<uint64_t>(extent));  // the others fit, too
    if (product > (uint64_t{1} << 62) / factor) return std::nullopt;
    product *= factor;
  }
  return is_empty ? 0 : product;
}

NpyHeader read_header(const ReadableFile& file, const std::string& path) {
  std::string begin(static_cast<size_t>(std::min<uint64_t>(file.size(), kNpyHeaderBytes)), '\0');
  file.read(0, begin.data(), begin.size());
  return parse_npy_header(begin, file.size(), path);
}

/// A whole number of `bytes` bytes, of a type that is signed or not; nothing for one that no i64 can hold.
std::optional<int64_t> number_at(const char* from, uint64_t bytes, bool is_signed) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t number = 0;
  std::memcpy(&number, from, bytes);
  const uint64_t unused = 64 - 8 * bytes;
  if (is_signed) return static_cast<int64_t>(number << unused) >> unused;
  const bool fits = number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return fits ? std::optional(static_cast<int64_t>(number)) : std::nullopt;
}

/// What to do with an array of another type or shape than u8 [N, H, W, 3].
std::string advice_on_images(const NpyHeader& header) {
  const Shape& shape = header.shape;
  if (header.type[1] == 'f') return "bytes from 0 to 255 are (a * 255).round().astype('uint8') of 0 to 1";
  if (header.type != "|u1") return "if all numbers are from 0 to 255, save a.astype('uint8')";
  if (shape.rank() == 4 && shape[1] == 3) return "save a.transpose(0, 2, 3, 1).copy(): channels come last";
  if (shape.rank() == 4 && shape[3] == 4) return "save a[..., :3].copy(), without the transparency";
  if (shape.rank() == 4 && shape[3] == 1) return "save a.repeat(3, axis=3): grey as three equal channels";
  if (shape.rank() == 3) return "save a[..., None].repeat(3, axis=3) of grey images, a[None] of one image";
  return "save images, height, width and the channels red, green, blue, in this order";
}

}  // namespace

NpyHeader parse_npy_header(std::string_view begin, uint64_t file_bytes, const std::string& path) {
  const auto wrong = [&](const auto&... parts) { throw DataError(str("npy: ", path, ": ", parts...)); };
  if (!begin.starts_with(kMagic)) {
    const std::string kind = kind_of_file(begin.substr(0, kFileKindBytes));
    wrong(begin.empty()  ? "the file is empty"
          : kind.empty() ? "no array of NumPy"
                         : kind + " found",
          ", wanted an array of NumPy", kAdvice);
  }
  constexpr size_t kVersionBytes = 8;
  if (begin.size() < kVersionBytes + 4) wrong("the file is cut short in its header", kAdvice);
  const int version = static_cast<unsigned char>(begin[6]);
  if (version < 1 || version > 3) wrong("format ", version, " found, wanted 1 to 3", kAdvice);
  const size_t length_bytes = version == 1 ? 2 : 4, text_begin = kVersionBytes + length_bytes;
  uint32_t length = 0;
  std::memcpy(&length, begin.data() + kVersionBytes, length_bytes);
  if (begin.size() - text_begin < length) {
    wrong("a header of ", length, " bytes found, but ", begin.size() - text_begin,
          " at most: the file is cut short or damaged", kAdvice);
  }
  const std::optional<Description> found = description_of(begin.substr(text_begin, length));
  if (!found) wrong("a header found that NumPy does not write: the file is damaged", kAdvice);
  if (!found->is_plain) wrong("an array of records found, wanted plain numbers", kAdvice);
  const uint64_t bytes = bytes_of_type(*found->type);
  if (bytes == 0) wrong("an array of the type ", in_quotes(*found->type), " found, wanted numbers", kAdvice);
  if (*found->is_fortran && found->shape->size() > 1) {
    wrong("an array in Fortran's order found, wanted C's; save numpy.ascontiguousarray(a)");
  }
  if (bytes > 1 && (*found->type)[0] == '>') {
    wrong("numbers with the highest byte first (", in_quotes(*found->type),
          ") found, wanted the lowest first; save a.astype('<", found->type->substr(1), "')");
  }
  const std::optional<uint64_t> wanted = product_of(*found->shape, bytes);
  if (found->shape->size() > Shape::kMaxRank) {
    wrong(found->shape->size(), " axes found, wanted at most ", Shape::kMaxRank, kAdvice);
  }
  if (!wanted) wrong("an array of more than 2^62 bytes found: the file is damaged", kAdvice);
  const Shape shape{std::span<const int64_t>(*found->shape)};
  const uint64_t rest = file_bytes - text_begin - length;
  if (*wanted != rest) {
    wrong("an array ", shape, " of the type ", in_quotes(*found->type), " wants ", *wanted, " bytes, but ",
          rest, " are in the file: it is damaged or cut short", kAdvice);
  }
  return {*found->type, shape, text_begin + length};
}

NpyImages::NpyImages(const std::string& path)
    : file_(path, "npy", throw_as<DataError>), path_(path), header_(read_header(file_, path)) {
  const Shape& shape = header_.shape;
  constexpr int64_t kMaxSide = 65535;
  check<DataError>(header_.type == "|u1" && shape.rank() == 4 && shape[3] == 3, "npy: ", path,
                   ": images are an array ", shape, " of the type ", in_quotes(header_.type),
                   ", wanted uint8 (\"|u1\") [N, H, W, 3]; ", advice_on_images(header_));
  check<DataError>(shape.size() > 0, "npy: ", path, ": an empty array ", shape,
                   " found, wanted at least one image of at least 1x1 pixels");
  check<DataError>(shape[1] <= kMaxSide && shape[2] <= kMaxSide, "npy: ", path, ": images of ", shape[2], "x",
                   shape[1], " pixels found, wanted at most ", kMaxSide, " a side; make them smaller");
}

Tensor NpyImages::read(int64_t n) const {
  check(n >= 0 && n < shape()[0], "npy: ", path_, ": image ", n, " wanted of ", shape()[0]);
  Tensor image = Tensor::empty({shape()[1], shape()[2], 3}, Dtype::u8);
  file_.read(header_.begin + static_cast<uint64_t>(n * image.size()), image.raw(), image.bytes());
  return image;
}

std::vector<int32_t> read_npy_labels(const std::string& path, int64_t count) {
  const ReadableFile file(path, "npy", throw_as<DataError>);
  const NpyHeader header = read_header(file, path);
  check<DataError>(header.type[1] == 'i' || header.type[1] == 'u', "npy: ", path, ": labels of the type ",
                   in_quotes(header.type), " found, wanted whole numbers; save a.astype('int64')");
  check<DataError>(header.shape.rank() == 1, "npy: ", path, ": labels are an array ", header.shape,
                   ", wanted one number an image, [", count, "]; of a row for each image save ",
                   "a.argmax(axis=1), or a.ravel() where it has one number");
  check<DataError>(header.shape[0] == count, "npy: ", path, ": ", header.shape[0], " labels found for ",
                   count, " images, wanted as many; save both anew");
  const uint64_t bytes = bytes_of_type(header.type);
  std::string numbers(static_cast<size_t>(count) * bytes, '\0');
  file.read(header.begin, numbers.data(), numbers.size());
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < count; ++n) {
    const auto label =
        number_at(numbers.data() + static_cast<uint64_t>(n) * bytes, bytes, header.type[1] == 'i');
    check<DataError>(label && *label >= 0 && *label <= kMaxNpyLabel, "npy: ", path, ": image ", n,
                     " has the label ", label ? str(*label) : "2^63 or more", ", wanted 0 to ", kMaxNpyLabel,
                     "; number the classes from 0 on");
    labels.push_back(static_cast<int32_t>(*label));
  }
  return labels;
}

}  // namespace fovea
