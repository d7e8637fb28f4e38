#include "fovea/kernels/cpu/conv/pack.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "fovea/core/random.h"
#include "fovea/kernels/cpu/transpose.h"

using namespace fovea;
using namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT;

namespace {

constexpr int64_t kWidth = kLanes<float>;

/// Small integers, of which sums of products are exact.
std::vector<float> numbers(int64_t count, uint32_t sample) {
  Random random(1, Purpose::test, 0, sample);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& number : result) number = static_cast<float>(random.below(17)) - 8;
  return result;
}

/// The element of a matrix in panels.
float at(const std::vector<float>& panels, int64_t rows, int64_t row, int64_t column) {
  return panels[static_cast<size_t>((column / kWidth * rows + row) * kWidth + column % kWidth)];
}

/// c = a * b in panels, of pairs.
void multiply_pairs(int64_t rows, int64_t depth, int64_t columns, const std::vector<float>& a,
                    const std::vector<float>& b, std::vector<float>& c) {
  Prefetcher nothing;
  multiply<DotProduct>(rows, depth, columns, a.data(), b.data(), nothing,
                       [&](int64_t row, int64_t column, const auto& tile) {
                         tile.put(c.data() + column * rows + row * kWidth, rows * kWidth);
                       });
}

}  // namespace

TEST_CASE("panels: multiply is the product, for every way to cut the rows into blocks") {
  const auto rows = GENERATE(4, 8, 12, 16, 20, 24, 28, 32, 36);
  const auto panels = GENERATE(1, 2, 3);
  const int64_t depth = 2 * kWidth, columns = panels * kWidth;
  CAPTURE(rows, panels);
  const std::vector<float> a = numbers(rows * depth, 1), b = numbers(depth * columns, 2);
  std::vector<float> c(static_cast<size_t>(rows * columns));
  multiply(rows, depth, columns, a.data(), b.data(), c.data());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      float sum = 0;
      for (int64_t d = 0; d < depth; ++d) sum += at(a, rows, row, d) * at(b, depth, d, column);
      REQUIRE(at(c, rows, row, column) == sum);
    }
  }
}

TEST_CASE(
    "panels: multiply finishes every block once, and asks for memory ahead without a change of the product") {
  const auto rows = GENERATE(4, 16, 28);
  const auto panels = GENERATE(1, 3);
  const auto lines_ahead = GENERATE(0, 1, 1000);
  const int64_t depth = 2 * kWidth, columns = panels * kWidth;
  CAPTURE(rows, panels, lines_ahead);
  const std::vector<float> a = numbers(rows * depth, 1), b = numbers(depth * columns, 2),
                           memory(static_cast<size_t>(lines_ahead) * 16);
  std::vector<float> wanted(static_cast<size_t>(rows * columns)), found(wanted.size(), -1000.0f);
  multiply(rows, depth, columns, a.data(), b.data(), wanted.data());
  Prefetcher prefetcher;
  prefetcher.add(memory.data(), lines_ahead * 8);
  prefetcher.add(memory.data() + lines_ahead * 8, lines_ahead * 8);
  prefetcher.spread(steps_of_multiply(rows, depth, columns));
  multiply(rows, depth, columns, a.data(), b.data(), prefetcher,
           [&](int64_t row, int64_t column, const auto& block) {
             const size_t at = static_cast<size_t>(column * rows + row * kWidth);
             REQUIRE(found[at] == -1000.0f);
             block.put(found.data() + at, rows * kWidth);
           });
  CHECK(found == wanted);
}

TEST_CASE("panels: multiply_transposed sets or adds the product with a transposed matrix") {
  const auto depth = GENERATE(1, 4, 33);
  const auto row_panels = GENERATE(1, 2);
  const auto panels = GENERATE(1, 2, 3, 4, 5, 7);
  const auto add = GENERATE(false, true);
  const auto lines_ahead = GENERATE(0, 100);
  const int64_t rows = row_panels * kWidth, columns = panels * kWidth;
  CAPTURE(depth, rows, panels, add, lines_ahead);
  const std::vector<float> a = numbers(depth * rows, 1), b = numbers(depth * columns, 2),
                           before = numbers(rows * columns, 3);
  std::vector<float> c = before, memory(static_cast<size_t>(lines_ahead) * 16);
  Prefetcher prefetcher;
  prefetcher.add(memory.data(), lines_ahead * 16);
  prefetcher.spread(std::max<int64_t>(1, steps_of_multiply_transposed(rows, depth, columns)));
  multiply_transposed(rows, depth, columns, a.data(), b.data(), c.data(), add, prefetcher);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      float sum = add ? at(before, rows, row, column) : 0;
      for (int64_t d = 0; d < depth; ++d) sum += at(a, depth, d, row) * at(b, depth, d, column);
      REQUIRE(at(c, rows, row, column) == sum);
    }
  }
}

TEST_CASE("panels: products of pairs of bf16 are the products of the matrices that were packed") {
  const auto rows = GENERATE(4, 12, 28);
  const auto panels = GENERATE(1, 2, 3);
  const int64_t depth = 4 * kWidth, columns = panels * kWidth;
  CAPTURE(rows, panels);
  const std::vector<float> a = numbers(rows * depth, 1), b = numbers(depth * columns, 2);
  std::vector<float> a_pairs(a.size() / 2), b_pairs(b.size() / 2), c(static_cast<size_t>(rows * columns));
  pack(rows, depth, a.data(), ColumnPairPanels{a_pairs.data(), rows});
  pack(depth, columns, b.data(), RowPairPanels{b_pairs.data(), depth});
  multiply_pairs(rows, depth / 2, columns, a_pairs, b_pairs, c);
  const auto product = [&](int64_t row, int64_t column) {
    float sum = 0;
    for (int64_t d = 0; d < depth; ++d) {
      sum += a[static_cast<size_t>(row * depth + d)] * b[static_cast<size_t>(d * columns + column)];
    }
    return sum;
  };
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      REQUIRE(at(c, rows, row, column) == product(row, column));
    }
  }
}

TEST_CASE("panels: a pair of bf16 is two numbers, whatever its bits are as one") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr int64_t kRows = kRowMultiple, kDepth = 2 * kWidth;
  std::vector<float> a(kRows * kDepth, 0.0f), b(kDepth * kWidth, 1.0f), a_pairs(a.size() / 2),
      b_pairs(b.size() / 2), c(static_cast<size_t>(kRows * kWidth));
  a[0] = 3.0f;                                  // with a zero behind it: a subnormal float
  a[kDepth] = 1.0f, a[kDepth + 1] = kInfinity;  // a signalling NaN
  pack(kRows, kDepth, a.data(), ColumnPairPanels{a_pairs.data(), kRows});
  pack(kDepth, kWidth, b.data(), RowPairPanels{b_pairs.data(), kDepth});
  multiply_pairs(kRows, kDepth / 2, kWidth, a_pairs, b_pairs, c);
  CHECK(at(c, kRows, 0, 0) == 3.0f);
  CHECK(at(c, kRows, 1, 0) == kInfinity);
  CHECK(at(c, kRows, 2, 0) == 0.0f);
}

TEST_CASE("panels: the same for a transposed matrix, set or added") {
  const auto depth = GENERATE(4, 12, 36);
  const auto panels = GENERATE(1, 2, 3, 5);
  const auto add = GENERATE(false, true);
  const int64_t rows = 2 * kWidth, columns = panels * kWidth;
  CAPTURE(depth, panels, add);
  const std::vector<float> a = numbers(depth * rows, 1), b = numbers(depth * columns, 2),
                           before = numbers(rows * columns, 3);
  std::vector<float> a_pairs(a.size() / 2), b_pairs(b.size() / 2), c = before;
  pack(depth, rows, a.data(), RowPairPanels{a_pairs.data(), depth});
  pack(depth, columns, b.data(), RowPairPanels{b_pairs.data(), depth});
  Prefetcher nothing;
  multiply_transposed<DotProduct>(rows, depth / 2, columns, a_pairs.data(), b_pairs.data(), c.data(), add,
                                  nothing);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      float sum = add ? at(before, rows, row, column) : 0;
      for (int64_t d = 0; d < depth; ++d) {
        sum += a[static_cast<size_t>(d * rows + row)] * b[static_cast<size_t>(d * columns + column)];
      }
      REQUIRE(at(c, rows, row, column) == sum);
    }
  }
}

TEST_CASE("vec: what is stored in bf16 is what bf16(float) makes of it, for any number of lanes") {
  constexpr float kHuge = std::numeric_limits<float>::max(),
                  kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values{
      0.0f,         -0.0f, 1.0f,       1.00390625f, 1.01171875f,
      -3.14159274f, kHuge, -kInfinity, kInfinity,   std::numeric_limits<float>::quiet_NaN(),
      1e-30f};
  values.resize(static_cast<size_t>(kWidth), 0.3f);
  for (int lanes = 1; lanes <= kWidth; ++lanes) {
    std::vector<bf16> found(static_cast<size_t>(kWidth), bf16(7.0f));
    store(found.data(), lanes, load(values.data(), AllLanes<float>()));
    for (int i = 0; i < kWidth; ++i) {
      const bf16 wanted = i < lanes ? bf16(values[static_cast<size_t>(i)]) : bf16(7.0f);
      // Subnormal numbers may be zeros.
      const bool is_subnormal = wanted.bits != 0 && (wanted.bits & 0x7f80u) == 0;
      const bool is_zero = (found[static_cast<size_t>(i)].bits & 0x7fffu) == 0;
      CHECK((found[static_cast<size_t>(i)].bits == wanted.bits || (is_subnormal && is_zero)));
    }
    const Vec<float> loaded = load(found.data(), lanes);
    for (int i = 0; i < kWidth; ++i) {
      const float wanted = i < lanes ? static_cast<float>(found[static_cast<size_t>(i)]) : 0.0f;
      const float lane = loaded[i];
      CHECK((lane == wanted || (lane != lane && wanted != wanted)));
    }
  }
}

TEST_CASE("transpose: rows become columns") {
  const std::vector<float> from = numbers(kWidth * kWidth, 1);
  std::vector<float> to(from.size());
  store_rows(transpose(load_rows(from.data(), kWidth)), to.data(), kWidth);
  for (int64_t row = 0; row < kWidth; ++row) {
    for (int64_t column = 0; column < kWidth; ++column) {
      REQUIRE(to[static_cast<size_t>(column * kWidth + row)] ==
              from[static_cast<size_t>(row * kWidth + column)]);
    }
  }
}
