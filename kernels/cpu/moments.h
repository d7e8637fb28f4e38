#pragma once

#include <cstdint>
#include <vector>

#include "fovea/core/tensor.h"

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

  /// Mean and variance, [C] in A, where the columns are C channels once or several times.
  template <class A>
  void finish(Tensor& mean, Tensor& variance) const {
    const auto C = static_cast<size_t>(mean.size()), folds = average_.size() / C;
    A *const means = mean.data<A>(), *const variances = variance.data<A>();
    for (size_t c = 0; c < C; ++c) {
      double average = 0, squares = 0;
      for (size_t i = c; i < average_.size(); i += C) average += average_[i] / static_cast<double>(folds);
      for (size_t i = c; i < average_.size(); i += C) {
        const double delta = average_[i] - average;
        squares += squares_[i] + delta * delta * count_;
      }
      means[c] = static_cast<A>(average);
      const double average_square = squares / (count_ * static_cast<double>(folds));
      variances[c] = static_cast<A>(average_square < 0 ? 0.0 : average_square);  // a NaN stays
    }
  }

 private:
  std::vector<double> average_, squares_;
  double count_ = 0;  // rows of every column so far
};

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
