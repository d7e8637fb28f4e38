#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fovea/data/image_set.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The unsigned bytes of an IDX file, http://yann.lecun.com/exdb/mnist: two zeros, the type 8, the rank, each
/// extent as 32 bits with the highest byte first, the values. DataError names `path` and the byte offset
/// unless there are exactly the values of `shape`.
Tensor parse_idx(std::span<const std::byte> bytes, const Shape& shape, const std::string& path);

/// The contents of a gzip file, which must have exactly `size` bytes; inflating stops at the first byte
/// too many. DataError names `path` for another size, a wrong checksum or bytes after the end.
std::vector<std::byte> gunzip(std::span<const std::byte> bytes, size_t size, const std::string& path);

/// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): the IDX files in `folder`, with or without ".gz". The 28x28
/// images stand in the middle of 32x32 black ones, and grey becomes three equal channels.
ImageSet load_fashion_mnist(const std::string& folder, Split split);

}  // namespace fovea
#pragma GCC visibility pop
