#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fovea/kernels/cpu/ahead.h"
#include "fovea/kernels/cpu/vec.h"

/// Products of f32 matrices that one core finds in its cache, without the packing that a library does first.
///
/// A matrix lies in strips as wide as a register: [columns / kLanes][rows][kLanes]. So the element of a row
/// is at a fixed distance from that of the row before, and a kernel that keeps a block of the result in
/// registers needs one pointer for all rows.
namespace fovea::kernels::cpu {

/// Rows of a result come in multiples of this.
inline constexpr int64_t kStripRows = 4;

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

/// Rows x Strips vectors of a product, in registers.
template <int Rows, int Strips>
struct Block {
  Vec<float> sum[Rows][Strips] = {};

  /// Calls body(row, strip) for all vectors, with constants.
  template <class Body>
  FOVEA_ALWAYS_INLINE static void for_each(Body&& body) {
    unroll<Strips>(
        [&](auto s) FOVEA_ALWAYS_INLINE { unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE { body(r, s); }); });
  }

  /// From or to a matrix in strips, `c_strip` numbers apart.
  FOVEA_ALWAYS_INLINE void get(const float* c, int64_t c_strip) {
    for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
      sum[r][s] = load(c + s * c_strip + r * kLanes<float>, AllLanes<float>());
    });
  }
  FOVEA_ALWAYS_INLINE void put(float* c, int64_t c_strip) const {
    for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
      store(c + s * c_strip + r * kLanes<float>, AllLanes<float>(), sum[r][s]);
    });
  }

  /// Adds the outer product of Rows numbers, `a_row` apart, and a row of b.
  FOVEA_ALWAYS_INLINE void add(const float* a, int64_t a_row, const float* b, int64_t b_strip) {
    Vec<float> row[Strips];
    unroll<Strips>([&](auto s) FOVEA_ALWAYS_INLINE { row[s] = load(b + s * b_strip, AllLanes<float>()); });
    unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
      const float factor = a[r * a_row];
      unroll<Strips>([&](auto s) FOVEA_ALWAYS_INLINE { sum[r][s] += factor * row[s]; });
    });
  }

  /// Adds a product: of a, [rows, depth], the rows that `a` points to, of b, [depth, columns], the strips.
  FOVEA_ALWAYS_INLINE void add_product(int64_t rows, int64_t depth, const float* a, const float* b,
                                       Ahead& ahead) {
    constexpr int64_t kWidth = kLanes<float>;
    const int64_t b_strip = depth * kWidth;
    Ahead::Lines lines = ahead.take();
    for (int64_t strip = 0; strip < depth / kWidth; ++strip, a += rows * kWidth) {
      for (int64_t d = 0; d < kWidth; d += Ahead::kDepth) {
        lines.ask();
#pragma GCC unroll 4
        for (int64_t i = d; i < d + Ahead::kDepth; ++i, b += kWidth) add(a + i, kWidth, b, b_strip);
      }
    }
    ahead.give_back(lines);
  }
};

/// Calls body(strips, column) for groups of Most strips, and smaller ones at the end: not 3 + 1 but 2 + 2.
template <int Most, class Body>
void for_each_strips(int64_t columns, Body&& body, int64_t column = 0) {
  constexpr int64_t kColumns = Most * kLanes<float>;
  for (; column + kColumns <= columns; column += kColumns) {
    if (Most == 3 && columns - column == 4 * kLanes<float>) break;
    body(std::integral_constant<int, Most>(), column);
  }
  if constexpr (Most > 1) {
    if (column < columns) for_each_strips<Most - 1>(columns, body, column);
  }
}

/// Calls body(type, row, column) for the blocks that cover [rows, columns], of sizes that leave registers for
/// the factors: column by column, and the rows in order. The type is std::type_identity of a Block.
template <class Body>
void for_each_block(int64_t rows, int64_t columns, Body&& body) {
  constexpr int kLarge = kManyRegisters ? 12 : 6, kSmall = kManyRegisters ? 8 : 4;
  for_each_strips<2>(columns, [&](auto strips, int64_t column) {
    constexpr int kStrips = decltype(strips)::value;
    for (int64_t row = 0; row < rows;) {
      const int64_t left = rows - row;
      const auto call = [&](auto block_rows) {
        body(std::type_identity<Block<decltype(block_rows)::value, kStrips>>(), row, column);
        row += block_rows;
      };
      if (left < kSmall) {
        call(std::integral_constant<int, kStripRows>());
      } else if (left == kSmall || left == 2 * kSmall) {
        // 12 + 4 rows would be slower than 8 + 8, and of 6 + 2 the second has no block.
        call(std::integral_constant<int, kSmall>());
      } else {
        call(std::integral_constant<int, kLarge>());
      }
    }
  });
}

/// One block of `multiply`. With 16 registers a function of its own, because GCC 12 keeps the sums in memory
/// where several blocks and what is around them are one function (backward passes took 1.0 to 1.5 of the
/// time); with 32 calls would take 1% of a training step.
#if defined(__AVX512F__)
#define FOVEA_BLOCK_FUNCTION FOVEA_ALWAYS_INLINE inline
#else
#define FOVEA_BLOCK_FUNCTION [[gnu::noinline]]
#endif
template <class AnyBlock, class Finish>
FOVEA_BLOCK_FUNCTION void multiply_block(int64_t rows, int64_t depth, const float* a, const float* b,
                                         Ahead& ahead, int64_t row, int64_t column, const Finish& finish) {
  AnyBlock block;
  block.add_product(rows, depth, a, b, ahead);
  finish(row, column, block);
}

/// Calls finish(row, column, block) for the blocks of a * b (see for_each_block): a [rows, depth], b
/// [depth, columns], both in strips; depth and columns multiples of kLanes<float>, rows of kStripRows.
template <class Finish>
void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b, Ahead& ahead,
              const Finish& finish) {
  for_each_block(rows, columns, [&](auto type, int64_t row, int64_t column) {
    multiply_block<typename decltype(type)::type>(rows, depth, a + row * kLanes<float>, b + column * depth,
                                                  ahead, row, column, finish);
  });
}

/// c = a * b: c [rows, columns] in strips.
void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b, float* c);

/// c = a^T * b, or c += a^T * b: a [depth, rows], b [depth, columns], c [rows, columns], all in strips and
/// apart; rows and columns multiples of kLanes<float>.
void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add, Ahead& ahead);
void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add);

/// How often these products ask for lines ahead.
int64_t steps_of_multiply(int64_t rows, int64_t depth, int64_t columns);
int64_t steps_of_multiply_transposed(int64_t rows, int64_t depth, int64_t columns);

}  // namespace fovea::kernels::cpu
