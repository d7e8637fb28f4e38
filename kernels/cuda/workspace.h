#pragma once

#include <algorithm>
#include <bit>

#include "fovea/core/tensor.h"

namespace fovea::kernels::cuda {

/// Scratch memory for a library's kernels; undefined if none is needed. The caching allocator gives it in
/// stream order, and from a graph's own memory while one is recorded. Few different sizes, so that calls
/// share the same blocks.
inline Tensor workspace_of(int64_t bytes, Device device) {
  if (bytes == 0) return {};
  constexpr uint64_t kSmallest = 1 << 20;
  const uint64_t rounded = std::max(std::bit_ceil(static_cast<uint64_t>(bytes)), kSmallest);
  return Tensor::empty({static_cast<int64_t>(rounded)}, Dtype::u8, device);
}

inline void* address_of(Tensor& workspace) {
  return workspace.defined() ? workspace.raw() : nullptr;
}

}  // namespace fovea::kernels::cuda
