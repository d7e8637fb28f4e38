#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu/grouped_chunks.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Mean and variance of columns, joined from those of parts in the order in which they are added, by the
/// parallel form of Welford's method (Chan, Golub, LeVeque 1979).
class Moments {
 public:
  explicit Moments(int64_t columns)
      : average_(static_cast<size_t>(columns), 0.0), squares_(static_cast<size_t>(columns), 0.0) {}

  /// A part of `rows` rows: sums of the differences from `origin`, and of their squares, of every column.
  template <class T, class A>
  void add(int64_t rows, const T* origin, const A* sums, const A* sums_of_squares) {
    const auto n = static_cast<double>(rows);
    const double share = n / (count_ + n), both = count_ * share, reciprocal = 1.0 / n;
    for (size_t i = 0; i < average_.size(); ++i) {
      const double sum = static_cast<double>(sums[i]), mean = sum * reciprocal;
      const double delta = static_cast<double>(static_cast<A>(origin[i])) + mean - average_[i];
      squares_[i] += static_cast<double>(sums_of_squares[i]) - sum * mean + delta * delta * both;
      average_[i] += delta * share;
    }
    count_ += n;
  }

  /// Mean and variance of C channels, where the columns are those once or several times.
  void finish(int64_t channels, double* means, double* variances) const {
    const auto C = static_cast<size_t>(channels), folds = average_.size() / C;
    for (size_t c = 0; c < C; ++c) {
      double average = 0, squares = 0;
      for (size_t i = c; i < average_.size(); i += C) average += average_[i] / static_cast<double>(folds);
      for (size_t i = c; i < average_.size(); i += C) {
        const double delta = average_[i] - average;
        squares += squares_[i] + delta * delta * count_;
      }
      means[c] = average;
      const double average_square = squares / (count_ * static_cast<double>(folds));
      variances[c] = average_square < 0 ? 0.0 : average_square;  // a NaN stays
    }
  }

 private:
  std::vector<double> average_, squares_;
  double count_ = 0;  // rows of every column so far
};

/// Means and variances of parts of a batch, [parts, C], joined by pairs, in place: those of part 0 become
/// those of all. rows: of each part.
void join_by_pairs(int64_t C, std::vector<double> rows, double* means, double* variances);

/// Rounds as many numbers as `to` has, f32 or f64.
inline void put_numbers(const double* from, Tensor& to) {
  if (to.dtype() == Dtype::f64) {
    std::copy_n(from, to.size(), to.data<double>());
  } else {
    std::transform(from, from + to.size(), to.data<float>(), [](double x) { return static_cast<float>(x); });
  }
}

/// mean and variance, [C] in f32 or f64, of what is cut into chunks: add_chunk(chunk, moments) adds a chunk
/// of `columns` columns, C channels once or several times.
template <class AddChunk>
void finish_moments(const GroupedChunks& chunks, int64_t columns, Tensor& mean, Tensor& variance,
                    AddChunk add_chunk) {
  const int64_t C = mean.size(), groups = chunks.groups();
  std::vector<double> rows, means(static_cast<size_t>(groups * C)), variances = means;
  for (int64_t group = 0; group < groups; ++group) {
    Moments moments(columns);
    for (int64_t i = 0; i < chunks.per_group(); ++i) add_chunk(group * chunks.per_group() + i, moments);
    moments.finish(C, means.data() + group * C, variances.data() + group * C);
    rows.push_back(static_cast<double>(chunks.units_of_group(group).count()));
  }
  join_by_pairs(C, rows, means.data(), variances.data());
  put_numbers(means.data(), mean);
  put_numbers(variances.data(), variance);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
