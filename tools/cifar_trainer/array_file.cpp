#include "array_file.h"

#include <fmt/format.h>
#include <bit>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "output.h"

namespace fovea::cli {

// Magic, version, length of the header, header padded to 64 bytes, numbers.
std::string npy_bytes(const Tensor& array) {
  static_assert(std::endian::native == std::endian::little);
  check(array.dtype() == Dtype::f32, "npy_bytes: ", array, ", wanted f32");
  std::string shape;
  for (int64_t axis = 0; axis < array.rank(); ++axis)
    shape += fmt::format("{}, ", array.shape(static_cast<int>(axis)));
  if (array.rank() > 1) shape.resize(shape.size() - 2);  // a tuple of one keeps its comma
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape);
  constexpr size_t kPrefix = 10;
  header.resize((header.size() + kPrefix + 1 + 63) / 64 * 64 - kPrefix - 1, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(static_cast<const char*>(array.raw()), array.bytes());
  return bytes;
}

void write_bytes(const std::string& command, const std::string& path, const std::string& bytes) {
  if (path.empty()) return write_output(bytes);
  write_whole(path, bytes, command, throw_as<Error>);
}

}  // namespace fovea::cli
