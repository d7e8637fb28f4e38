#include "fovea/training/channels_first.h"

#include <cstddef>
#include <cstring>

#include "fovea/core/check.h"

namespace fovea {
namespace {

/// The numbers of [A, B, C] in the order of [A, C, B], in this shape.
Tensor swapped(const Tensor& from, int64_t A, int64_t B, int64_t C, const Shape& shape) {
  Tensor to = Tensor::empty(shape, from.dtype());
  const size_t size = size_of(from.dtype());
  const auto* source = static_cast<const std::byte*>(from.raw());
  auto* target = static_cast<std::byte*>(to.raw());
  for (int64_t a = 0; a < A; ++a) {
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t c = 0; c < C; ++c) {
        const int64_t at = (a * B + b) * C + c, there = (a * C + c) * B + b;
        std::memcpy(target + static_cast<size_t>(there) * size, source + static_cast<size_t>(at) * size,
                    size);
      }
    }
  }
  return to;
}

}  // namespace

Tensor channels_first(const Tensor& tensor) {
  check(tensor.rank() == 4, "channels_first: ", tensor, ", wanted four axes");
  const Shape s = tensor.shape();
  return swapped(tensor, s[0], s[1] * s[2], s[3], {s[0], s[3], s[1], s[2]});
}

Tensor channels_last(const Tensor& tensor) {
  check(tensor.rank() == 4, "channels_last: ", tensor, ", wanted four axes");
  const Shape s = tensor.shape();
  return swapped(tensor, s[0], s[1], s[2] * s[3], {s[0], s[2], s[3], s[1]});
}

}  // namespace fovea
