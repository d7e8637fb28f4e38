#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "fovea/kernels/cpu/conv/pack.h"
#include "fovea/kernels/cpu/conv/panels.h"
#include "fovea/kernels/cpu/streamed_output.h"

/// What 1x1 convolutions by products of packed panels share, alone (fused_1x1.cpp) and in a chain
/// (fused_chain.cpp).
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Panels whose words lie along a sum over the columns.
template <class Arithmetic>
using PanelsAlongRows = std::conditional_t<is_dot<Arithmetic>, ColumnPairPanels, FloatPanels>;

/// Words along a sum over C channels.
template <class Arithmetic>
int64_t depth_of(int64_t C) {
  return is_dot<Arithmetic> ? C / 2 : C;
}

/// Rows of a block: an odd multiple of 12, so that its panels do not fall on the same lines of the cache.
inline int64_t rows_of_block(int64_t bytes, int64_t floats_per_row) {
  const int64_t rows = bytes / (floats_per_row * static_cast<int64_t>(sizeof(float)));
  return std::max<int64_t>(rows - 12, 0) / 24 * 24 + 12;
}

/// Blocks of forward passes (measured: half and twice as many rows take 1.0 to 1.1 of the time). Where the
/// filters are large so is a block, because they are read once for each.
inline int64_t rows_of_forward_block(int64_t C, int64_t K) {
  return rows_of_block(std::max<int64_t>(24 << 10, C * K / 2), C);
}

/// Rows of a result, [rows, K], to each of which the residual's is added, if that is not null: what a product
/// ends with, at once or with something in between.
template <class T>
struct ResultRows {
  int64_t K;
  const T* residual;
  StreamedOutput<T> y;

  template <class Tile>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column, Tile& tile) const {
    add_residual(row, column, tile);
    put(row, column, tile);
  }
  template <class Tile>
  FOVEA_ALWAYS_INLINE void add_residual(int64_t row, int64_t column, Tile& tile) const {
    if (residual == nullptr) return;
    const T* const from = residual + row * K + column;
    tile.for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
      tile.sum[r][s] += load(from + r * K + s * kLanes<float>, AllLanes<float>());
    });
  }
  template <class Tile>
  FOVEA_ALWAYS_INLINE void put(int64_t row, int64_t column, const Tile& tile) const {
    const int64_t at = row * K + column;
    tile.for_each_by_rows([&, target = y](auto r, auto s) FOVEA_ALWAYS_INLINE {
      target.put(at + r * K + s * kLanes<float>, AllLanes<float>(), tile.sum[r][s]);
    });
  }
};

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
