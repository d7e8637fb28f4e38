#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fovea/kernels/cpu/conv/arithmetic.h"
#include "fovea/kernels/cpu/conv/prefetcher.h"
#include "fovea/kernels/cpu/vec.h"

/// Products of matrices that one core finds in its cache, packed by whoever writes them there: of f32, or,
/// where the arithmetic is DotProduct, of pairs of bf16, which count as one element of a row or column half
/// as long.
///
/// A matrix lies in packed panels as wide as a register: [columns / kLanes][rows][kLanes]. So the element of
/// a row is at a fixed distance from that of the row before, and a kernel that keeps a tile of the result in
/// registers needs one pointer for all rows.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Rows of a result come in multiples of this.
inline constexpr int64_t kRowMultiple = 4;

/// Whether there are 32 registers, as AVX-512 has; AVX2 has 16.
inline constexpr bool kManyRegisters = kVectorBytes == 64;

/// Always inlined; on a lambda, after its parameters.
#define FOVEA_ALWAYS_INLINE __attribute__((always_inline))

/// Calls body(i) with i = 0, ..., Count - 1 as constants. GCC 12 keeps an array in registers from the start
/// only if all its indices are constants and all functions between them are inlined at once; otherwise it
/// sets it to zero in memory first, by a call (with loops a training step took 1.03 of the time, without the
/// attributes 2.1).
template <int Count, class Body>
FOVEA_ALWAYS_INLINE inline void unroll(Body&& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) FOVEA_ALWAYS_INLINE {
    (body(std::integral_constant<int, i>()), ...);
  }
  (std::make_integer_sequence<int, Count>());
}

/// Rows x Panels vectors of a product, in registers.
template <int Rows, int Panels, class Arithmetic = MultiplyAdd>
struct RegisterTile {
  Vec<float> sum[Rows][Panels] = {};

  /// Calls body(row, panel) for all vectors, with constants.
  template <class Body>
  FOVEA_ALWAYS_INLINE static void for_each(Body&& body) {
    unroll<Panels>(
        [&](auto s) FOVEA_ALWAYS_INLINE { unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE { body(r, s); }); });
  }

  /// Calls body(row, panel) for all vectors, row by row: for stores past the caches, where what shares a line
  /// must follow each other.
  template <class Body>
  FOVEA_ALWAYS_INLINE static void for_each_by_rows(Body&& body) {
    unroll<Rows>(
        [&](auto r) FOVEA_ALWAYS_INLINE { unroll<Panels>([&](auto s) FOVEA_ALWAYS_INLINE { body(r, s); }); });
  }

  /// From or to a matrix in panels, `c_panel` numbers apart.
  FOVEA_ALWAYS_INLINE void get(const float* c, int64_t c_panel) {
    for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
      sum[r][s] = load(c + s * c_panel + r * kLanes<float>, AllLanes<float>());
    });
  }
  FOVEA_ALWAYS_INLINE void put(float* c, int64_t c_panel) const {
    for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
      store(c + s * c_panel + r * kLanes<float>, AllLanes<float>(), sum[r][s]);
    });
  }

  /// Adds the outer product of Rows numbers, `a_row` apart, and a row of b.
  FOVEA_ALWAYS_INLINE void add(const float* a, int64_t a_row, const float* b, int64_t b_panel) {
    Vec<float> row[Panels];
    unroll<Panels>([&](auto s) FOVEA_ALWAYS_INLINE { row[s] = load(b + s * b_panel, AllLanes<float>()); });
    unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
      const float factor = a[r * a_row];
      unroll<Panels>([&](auto s)
                         FOVEA_ALWAYS_INLINE { sum[r][s] = Arithmetic::add(sum[r][s], factor, row[s]); });
    });
  }

  /// Adds a product: of a, [rows, depth], the rows that `a` points to, of b, [depth, columns], the panels.
  FOVEA_ALWAYS_INLINE void add_product(int64_t rows, int64_t depth, const float* a, const float* b,
                                       Prefetcher& prefetcher) {
    constexpr int64_t kWidth = kLanes<float>;
    const int64_t b_panel = depth * kWidth;
    Prefetcher::Lines lines = prefetcher.take();
    for (int64_t panel = 0; panel < depth / kWidth; ++panel, a += rows * kWidth) {
      for (int64_t d = 0; d < kWidth; d += Prefetcher::kDepth) {
        lines.prefetch();
#pragma GCC unroll 4
        for (int64_t i = d; i < d + Prefetcher::kDepth; ++i, b += kWidth) add(a + i, kWidth, b, b_panel);
      }
    }
    prefetcher.put_back(lines);
  }
};

/// Calls body(panels, column) for groups of Most panels, or of `most` if that is less, and smaller ones at
/// the end: not 3 + 1 but 2 + 2.
template <int Most, class Body>
void for_each_panels(int64_t columns, Body&& body, int most = Most, int64_t column = 0) {
  constexpr int64_t kColumns = Most * kLanes<float>;
  for (; Most <= most && column + kColumns <= columns; column += kColumns) {
    if (Most == 3 && columns - column == 4 * kLanes<float>) break;
    body(std::integral_constant<int, Most>(), column);
  }
  if constexpr (Most > 1) {
    if (column < columns) for_each_panels<Most - 1>(columns, body, most, column);
  }
}

/// Calls body(type, row, column) for the tiles that cover the result [rows, columns] of a product along
/// `depth`, of sizes that leave registers for the factors: column by column, and the rows in order. The type
/// is std::type_identity of a RegisterTile. With 32 registers 6 x 4 vectors load less than 12 x 2, as long as
/// the panels of the second factor stay in the L1 cache.
template <class Arithmetic = MultiplyAdd, class Body>
void for_each_tile(int64_t rows, int64_t depth, int64_t columns, Body&& body) {
  constexpr int kMostPanels = kManyRegisters ? 4 : 2;
  constexpr int64_t kDeepest = 128;
  const auto body_of_panels = [&](auto panels, int64_t column) {
    constexpr int kPanels = decltype(panels)::value;
    constexpr int kLarge = !kManyRegisters ? 6 : kPanels == 4 ? 6 : kPanels == 3 ? 8 : 12;
    constexpr int kSmall = !kManyRegisters || kPanels > 2 ? 4 : 8;
    int64_t row = 0;
    while (row < rows) {
      const int64_t left = rows - row;
      const auto call = [&](auto tile_rows) {
        body(std::type_identity<RegisterTile<decltype(tile_rows)::value, kPanels, Arithmetic>>(), row,
             column);
        row += tile_rows;
      };
      if (left < kSmall) {
        call(std::integral_constant<int, kRowMultiple>());
      } else if (left == kSmall || (left == 2 * kSmall && left > kLarge)) {
        // 12 + 4 rows would be slower than 8 + 8, and of 6 + 2 the second has no tile.
        call(std::integral_constant<int, kSmall>());
      } else {
        call(std::integral_constant<int, kLarge>());
      }
    }
  };
  for_each_panels<kMostPanels>(columns, body_of_panels, depth <= kDeepest ? kMostPanels : 2);
}

/// One tile of `multiply`. With 16 registers a function of its own, because GCC 12 keeps the sums in memory
/// where several tiles and what is around them are one function (backward passes took 1.0 to 1.5 of the
/// time); with 32 calls would take 1% of a training step.
#if defined(__AVX512F__)
#define FOVEA_TILE_FUNCTION FOVEA_ALWAYS_INLINE inline
#else
#define FOVEA_TILE_FUNCTION [[gnu::noinline]]
#endif
template <class Tile, class Finish>
FOVEA_TILE_FUNCTION void multiply_tile(int64_t rows, int64_t depth, const float* a, const float* b,
                                       Prefetcher& prefetcher, int64_t row, int64_t column,
                                       const Finish& finish) {
  Tile tile;
  tile.add_product(rows, depth, a, b, prefetcher);
  finish(row, column, tile);
}

/// Calls finish(row, column, tile) for the tiles of a * b (see for_each_tile): a [rows, depth], b
/// [depth, columns], both in panels, those of a of `a_rows` rows, of which these are some; depth and columns
/// multiples of kLanes<float>, rows of kRowMultiple.
template <class Arithmetic = MultiplyAdd, class Finish>
void multiply_rows(int64_t a_rows, int64_t rows, int64_t depth, int64_t columns, const float* a,
                   const float* b, Prefetcher& prefetcher, const Finish& finish) {
  for_each_tile<Arithmetic>(rows, depth, columns, [&](auto type, int64_t row, int64_t column) {
    multiply_tile<typename decltype(type)::type>(a_rows, depth, a + row * kLanes<float>, b + column * depth,
                                                 prefetcher, row, column, finish);
  });
}
template <class Arithmetic = MultiplyAdd, class Finish>
void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
              Prefetcher& prefetcher, const Finish& finish) {
  multiply_rows<Arithmetic>(rows, rows, depth, columns, a, b, prefetcher, finish);
}

/// c = a * b: c [rows, columns] in panels.
void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b, float* c);

/// c = a^T * b, or c += a^T * b: a [depth, rows], b [depth, columns], c [rows, columns], all in panels and
/// apart; rows and columns multiples of kLanes<float>.
template <class Arithmetic = MultiplyAdd>
void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add, Prefetcher& prefetcher);
void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add);

/// How often these products prefetch: the argument of Prefetcher::spread.
int64_t steps_of_multiply(int64_t rows, int64_t depth, int64_t columns);
int64_t steps_of_multiply_transposed(int64_t rows, int64_t depth, int64_t columns);

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
