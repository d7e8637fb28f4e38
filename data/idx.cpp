#include "fovea/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/data/file.h"

namespace fovea {
namespace {

constexpr const char* kOperation = "fashion-mnist";
constexpr const char* kAdvice =
    "install Debian's package dataset-fashion-mnist, or name the folder that has the four files";
constexpr int64_t kSourceSide = 28, kSide = 32, kBorder = (kSide - kSourceSide) / 2;

size_t idx_bytes(const Shape& shape) {
  return static_cast<size_t>(4 + 4 * shape.rank() + shape.size());
}

/// Inflates what was deflated; the destructor gives zlib's memory back.
class Inflater {
 public:
  explicit Inflater(std::span<const std::byte> in) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    constexpr int kGzipOnly = 16;
    check(inflateInit2(&stream_, kGzipOnly + MAX_WBITS) == Z_OK, "gunzip: zlib has no memory");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Fills `out` as far as it can; zlib's status.
  int inflate_into(std::span<std::byte> out) {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    return ::inflate(&stream_, Z_FINISH);
  }
  size_t written() const { return stream_.total_out; }
  size_t consumed() const { return stream_.total_in; }

 private:
  z_stream stream_{};
};

/// The bytes of an IDX file of the given shape, inflated if the file is `name`.gz.
Tensor load_idx(const std::string& folder, const std::string& name, const Shape& shape) {
  const std::filesystem::path plain = std::filesystem::path(folder) / name;
  const std::string packed = plain.string() + ".gz";
  const size_t size = idx_bytes(shape);
  if (std::filesystem::exists(plain)) {
    return parse_idx(read_file(kOperation, plain.string(), size, kAdvice), shape, plain.string());
  }
  // Deflate adds at most a few bytes to each 16 KiB that it cannot shrink.
  const std::vector<std::byte> bytes = read_file(kOperation, packed, size + size / 1000 + 1024, kAdvice);
  return parse_idx(gunzip(bytes, size, packed), shape, packed);
}

}  // namespace

Tensor parse_idx(std::span<const std::byte> bytes, const Shape& shape, const std::string& path) {
  const auto wrong = [&](size_t offset, const auto&... parts) {
    throw DataError(str(kOperation, ": ", path, ": at byte offset ", offset, ": ", parts..., "; ", kAdvice));
  };
  const auto number_at = [&](size_t offset) {
    uint32_t number = 0;
    for (size_t i = 0; i < 4; ++i) number = number << 8 | std::to_integer<uint32_t>(bytes[offset + i]);
    return number;
  };
  const size_t header = 4 + 4 * static_cast<size_t>(shape.rank());
  if (bytes.size() < header) wrong(bytes.size(), "expected a header of ", header, " bytes, found the end");
  const uint32_t magic = 0x800u | static_cast<uint32_t>(shape.rank());
  if (number_at(0) != magic) {
    wrong(0, "expected the number ", magic, " (bytes, rank ", shape.rank(), "), found ", number_at(0));
  }
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const size_t offset = 4 + 4 * static_cast<size_t>(axis);
    if (number_at(offset) != shape[axis]) {
      wrong(offset, "expected an extent of ", shape[axis], ", found ", number_at(offset));
    }
  }
  if (bytes.size() != idx_bytes(shape)) {
    wrong(std::min(bytes.size(), idx_bytes(shape)), "expected ", idx_bytes(shape), " bytes in all, found ",
          bytes.size());
  }
  Tensor values = Tensor::empty(shape, Dtype::u8);
  if (values.size() > 0) std::memcpy(values.raw(), bytes.data() + header, values.bytes());
  return values;
}

std::vector<std::byte> gunzip(std::span<const std::byte> bytes, size_t size, const std::string& path) {
  constexpr size_t kLimit = std::numeric_limits<uInt>::max();
  check(bytes.size() <= kLimit && size < kLimit, "gunzip: ", path, ": ", bytes.size(), " bytes for ", size,
        ", more than zlib takes at once");
  std::vector<std::byte> out(size);
  Inflater inflater(bytes);
  int status = inflater.inflate_into(out);
  if (status != Z_STREAM_END && inflater.written() == size) {
    // All is there: the end mark and the checksum follow, unless there is a byte too many.
    std::byte extra{};
    status = inflater.inflate_into({&extra, 1});
  }
  check<DataError>(inflater.written() <= size, "gunzip: ", path, ": expected ", size,
                   " bytes when inflated, found more; ", kAdvice);
  check<DataError>(status == Z_STREAM_END && inflater.written() == size, "gunzip: ", path,
                   ": at byte offset ", inflater.consumed(), ": the file is damaged or cut short: expected ",
                   size, " bytes when inflated, found ", inflater.written(), "; ", kAdvice);
  check<DataError>(inflater.consumed() == bytes.size(), "gunzip: ", path, ": at byte offset ",
                   inflater.consumed(), ": expected the end of the file, found ",
                   bytes.size() - inflater.consumed(), " more bytes; ", kAdvice);
  return out;
}

ImageSet load_fashion_mnist(const std::string& folder, Split split) {
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const int64_t N = split == Split::train ? 60000 : 10000;
  const Tensor grey = load_idx(folder, prefix + "-images-idx3-ubyte", {N, kSourceSide, kSourceSide});
  const Tensor numbers = load_idx(folder, prefix + "-labels-idx1-ubyte", {N});

  ImageSet set{kOperation,
               Tensor::zeros({N, kSide, kSide, 3}, Dtype::u8),
               Tensor::empty({N}, Dtype::i32),
               {"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
                "ankle boot"}};
  for (int64_t n = 0; n < N; ++n) {
    const int32_t label = numbers.data<uint8_t>()[n];
    check<DataError>(label < set.classes(), kOperation, ": ", folder, "/", prefix,
                     "-labels-idx1-ubyte: at byte offset ", 8 + n, ": expected a label from 0 to 9, found ",
                     label, "; ", kAdvice);
    set.labels.data<int32_t>()[n] = label;
  }
  const uint8_t* in = grey.data<uint8_t>();
  uint8_t* out = set.images.data<uint8_t>();
  parallel_for(N, /*grain=*/256, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t h = 0; h < kSourceSide; ++h) {
        for (int64_t w = 0; w < kSourceSide; ++w) {
          uint8_t* pixel = out + ((n * kSide + h + kBorder) * kSide + w + kBorder) * 3;
          std::fill_n(pixel, 3, in[(n * kSourceSide + h) * kSourceSide + w]);
        }
      }
    }
  });
  return set;
}

}  // namespace fovea
