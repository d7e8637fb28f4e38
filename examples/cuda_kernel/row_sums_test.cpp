// Tests row_sums: whole numbers, whose sums are exact in any order. Ends with 1 where one is wrong.
#include <cstdio>
#include <exception>
#include <vector>

#include "row_sums.h"

namespace {

/// Whether the sums of [rows, columns] are right.
bool are_right(int rows, int columns) {
  std::vector<float> x(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17);
  std::vector<float> y(static_cast<size_t>(rows));
  row_sums(x.data(), rows, columns, y.data());
  for (size_t r = 0; r < y.size(); ++r) {
    float wanted = 0;
    for (size_t c = 0; c < static_cast<size_t>(columns); ++c)
      wanted += x[r * static_cast<size_t>(columns) + c];
    if (y[r] == wanted) continue;
    std::printf("row_sums: %d x %d: row %zu is %g, wanted %g\n", rows, columns, r, static_cast<double>(y[r]),
                static_cast<double>(wanted));
    return false;
  }
  return true;
}

}  // namespace

int main() {
  try {
    // One number, less than a block, a block, one more, many.
    constexpr int kShapes[][2] = {{1, 1}, {3, 127}, {5, 128}, {4, 129}, {2, 1000}};
    for (const auto& [rows, columns] : kShapes) {
      if (!are_right(rows, columns)) return 1;
    }
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
  std::printf("row_sums: all rows are right\n");
  return 0;
}
