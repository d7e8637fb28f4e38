#pragma once

#include <cstdint>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/vec.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Results of this size are streamed past the caches (measured with 32 MB of L3: 2% of a training step of
/// attention92, 4% of attention92-wide).
inline constexpr size_t kStreamedBytes = size_t{8} << 20;

/// Where results go. Ends with `end_streaming`.
template <class T>
struct StreamedOutput {
  T* data;
  bool is_streamed;

  template <class Lanes>
  void put(int64_t i, Lanes lanes, Vec<float> value) const {
    if (is_streamed) {
      stream(data + i, value);
    } else {
      prefetch_ahead_to_write(data + i);
      store(data + i, lanes, value);
    }
  }
};

/// The numbers of a tensor from `begin` on.
template <class T>
StreamedOutput<T> part_of(Tensor& tensor, int64_t begin) {
  const bool is_aligned = reinterpret_cast<uintptr_t>(tensor.raw()) % kVectorBytes == 0;
  return {tensor.data<T>() + begin, is_aligned && tensor.bytes() >= kStreamedBytes};
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
