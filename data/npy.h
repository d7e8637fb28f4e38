#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fovea/core/atomic_file.h"
#include "fovea/core/tensor.h"

namespace fovea {

/// What a file of NumPy's `save` says of the array in it.
/// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
struct NpyHeader {
  std::string type;  // "|u1": order of the bytes, kind, bytes of a number
  Shape shape;
  uint64_t begin = 0;  // byte offset of the first number
};

/// The header at the `begin` of a file of `file_bytes` bytes; kNpyHeaderBytes of it are enough. DataError
/// names `path` for what is no such file, another format, an array in Fortran's order, an array of anything
/// but plain numbers, and one whose numbers are fewer or more than the file has.
NpyHeader parse_npy_header(std::string_view begin, uint64_t file_bytes, const std::string& path);
constexpr size_t kNpyHeaderBytes = (1 << 16) + 12;

/// The images of an array u8 [N, H, W, 3] in a file, which are read one by one.
class NpyImages {
 public:
  /// DataError for another file or array; it says what makes the right one of the array.
  explicit NpyImages(const std::string& path);

  /// [N, H, W, 3]
  const Shape& shape() const { return header_.shape; }
  /// Image `n`: u8 [H, W, 3]. Several threads may call it.
  Tensor read(int64_t n) const;

 private:
  ReadableFile file_;
  std::string path_;
  NpyHeader header_;
};

/// The labels of an array of whole numbers, [N]. DataError for another file, array or length than `count`,
/// and for a label that is negative or above kMaxNpyLabel.
std::vector<int32_t> read_npy_labels(const std::string& path, int64_t count);
constexpr int64_t kMaxNpyLabel = 999999;

}  // namespace fovea
