#pragma once

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

#include "fovea/kernels/cpu/vec.h"

/// Transposing in registers.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// A square of numbers: as many vectors as a vector has lanes.
using Square = std::array<Vec<float>, kLanes<float>>;

/// A square whose rows lie `stride` numbers apart.
inline Square load_rows(const float* from, int64_t stride) {
  Square rows;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = load(from + static_cast<int64_t>(i) * stride, AllLanes<float>());
  }
  return rows;
}
inline void store_rows(const Square& rows, float* to, int64_t stride) {
  for (size_t i = 0; i < rows.size(); ++i) {
    store(to + static_cast<int64_t>(i) * stride, AllLanes<float>(), rows[i]);
  }
}

inline Square transpose(Square from) {
  constexpr size_t kSize = kLanes<float>;
  // Each round merges the first half of the vectors with the second, element by element: it turns the bits
  // of an element's index by one. After log2(kSize) rounds rows are columns.
  const auto merge = []<size_t... i>(const Vec<float>& a, const Vec<float>& b, std::index_sequence<i...>) {
    return std::pair{
        __builtin_shufflevector(a, b, (i % 2 == 0 ? i / 2 : kSize + i / 2)...),
        __builtin_shufflevector(a, b, (i % 2 == 0 ? (kSize + i) / 2 : kSize + (kSize + i) / 2)...)};
  };
  for (size_t round = 1; round < kSize; round *= 2) {
    Square to;
    for (size_t i = 0; i < kSize / 2; ++i) {
      std::tie(to[2 * i], to[2 * i + 1]) =
          merge(from[i], from[i + kSize / 2], std::make_index_sequence<kSize>());
    }
    from = to;
  }
  return from;
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
