#include "fovea/kernels/cpu/strips.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kWidth = kLanes<float>;
constexpr AllLanes<float> kAll;

/// Rows of a block of two strips that leaves registers for the factors: AVX-512 has 32, others 16.
constexpr int64_t kMostRows = kVectorBytes == 64 ? 12 : 4;

/// Of `left` rows, a multiple of 4. Two blocks of 8 are faster than one of 12 and one of 4.
int64_t rows_of_block(int64_t left) {
  if (kMostRows == 4 || left == 4) return 4;
  return left == 8 || left == 16 ? 8 : 12;
}

/// Rows x Strips registers of c, whose strips are `c_strip` numbers apart.
template <int Rows, int Strips>
class Block {
 public:
  Block(const float* c, int64_t c_strip, bool add) {
    for (int s = 0; s < Strips; ++s) {
      for (int r = 0; r < Rows; ++r)
        sum_[r][s] = add ? load(c + s * c_strip + r * kWidth, kAll) : Vec<float>{};
    }
  }

  /// Adds the outer product of Rows numbers, `a_row` apart, and a row of b.
  void add(const float* a, int64_t a_row, const float* b, int64_t b_strip) {
    Vec<float> row[Strips];
    for (int s = 0; s < Strips; ++s) row[s] = load(b + s * b_strip, kAll);
    for (int r = 0; r < Rows; ++r) {
      for (int s = 0; s < Strips; ++s) sum_[r][s] += a[r * a_row] * row[s];
    }
  }

  void put(float* c, int64_t c_strip) const {
    for (int s = 0; s < Strips; ++s) {
      for (int r = 0; r < Rows; ++r) store(c + s * c_strip + r * kWidth, kAll, sum_[r][s]);
    }
  }

 private:
  Vec<float> sum_[Rows][Strips];
};

template <int Rows, int Strips>
void multiply_block(int64_t rows, int64_t depth, const float* a, const float* b, float* c) {
  Block<Rows, Strips> block(c, rows * kWidth, /*add=*/false);
  const int64_t b_strip = depth * kWidth;
  for (int64_t strip = 0; strip < depth / kWidth; ++strip, a += rows * kWidth) {
#pragma GCC unroll 4
    for (int64_t d = 0; d < kWidth; ++d, b += kWidth) block.add(a + d, kWidth, b, b_strip);
  }
  block.put(c, rows * kWidth);
}

template <int Strips>
void multiply_strips(int64_t rows, int64_t depth, const float* a, const float* b, float* c) {
  for (int64_t row = 0; row < rows;) {
    const float* from = a + row * kWidth;
    float* to = c + row * kWidth;
    const int64_t count = rows_of_block(rows - row);
    if (count == 4) multiply_block<4, Strips>(rows, depth, from, b, to);
    if constexpr (kMostRows == 12) {
      if (count == 8) multiply_block<8, Strips>(rows, depth, from, b, to);
      if (count == 12) multiply_block<12, Strips>(rows, depth, from, b, to);
    }
    row += count;
  }
}

template <int Strips>
void multiply_transposed_strips(int64_t rows, int64_t depth, const float* a, const float* b, float* c,
                                bool add) {
  constexpr int kRows = kVectorBytes == 64 ? 8 : 4;  // a strip of `a` has a multiple of them
  for (int64_t row = 0; row < rows; row += kRows) {
    const float* from = a + row / kWidth * depth * kWidth + row % kWidth;
    float* to = c + row * kWidth;
    Block<kRows, Strips> block(to, rows * kWidth, add);
    for (int64_t d = 0; d < depth; ++d) block.add(from + d * kWidth, 1, b + d * kWidth, depth * kWidth);
    block.put(to, rows * kWidth);
  }
}

/// Calls body(strips, column) for pairs of strips, and one alone at the end if their number is odd.
template <class Body>
void for_each_pair(int64_t columns, Body&& body) {
  int64_t column = 0;
  for (; column + 2 * kWidth <= columns; column += 2 * kWidth) {
    body(std::integral_constant<int, 2>(), column);
  }
  if (column < columns) body(std::integral_constant<int, 1>(), column);
}

}  // namespace

void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b, float* c) {
  for_each_pair(columns, [&](auto strips, int64_t column) {
    multiply_strips<decltype(strips)::value>(rows, depth, a, b + column * depth, c + column * rows);
  });
}

void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add) {
  for_each_pair(columns, [&](auto strips, int64_t column) {
    multiply_transposed_strips<decltype(strips)::value>(rows, depth, a, b + column * depth, c + column * rows,
                                                        add);
  });
}

}  // namespace fovea::kernels::cpu
