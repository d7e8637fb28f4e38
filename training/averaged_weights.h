#pragma once

#include <vector>

#include "fovea/core/tensor.h"

namespace fovea {

/// Exponential moving averages of what a training run changes: of arenas of weights and running statistics.
/// See kernels/moving_average.h. The averages begin as what they follow.
class AveragedWeights {
 public:
  AveragedWeights(const std::vector<Tensor>& followed, double decay);

  /// To be called after each step. steps: i64 [], taken so far; non_finite: i64 [], other than 0 for a step
  /// that has changed nothing
  void follow(const Tensor& steps, const Tensor& non_finite);

  /// Exchanges the numbers of the averages and of what they follow, so that the model computes with the
  /// averages, and, called again, with what is trained. Takes no memory.
  void swap();
  /// Goes on from the averages.
  void go_on_from_averages();

  /// Where the average of a tensor in one of the arenas is, or where what is averaged is, whether they are
  /// swapped or not; the tensor itself if it lies in none of them.
  Tensor averaged(const Tensor& tensor) const { return counterpart(tensor, /*is_elsewhere=*/!is_swapped_); }
  Tensor trained(const Tensor& tensor) const { return counterpart(tensor, /*is_elsewhere=*/is_swapped_); }

 private:
  struct Arena {
    Tensor followed, average, spare;  // spare: for swap, which must not fail
  };
  Tensor counterpart(const Tensor& tensor, bool is_elsewhere) const;

  std::vector<Arena> arenas_;
  double decay_;
  bool is_swapped_ = false;
};

}  // namespace fovea
