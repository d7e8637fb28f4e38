#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Number of rows whose label is among the `k` largest logits: fewer than k others are larger, or equal and
/// of a smaller index. A row with a NaN at its label does not count. logits: [N, C] f32, labels: i32 [N]
int64_t count_correct(const Tensor& logits, const Tensor& labels, int64_t k = 1);

/// How well a model does on a set of images.
struct Evaluation {
  double loss = 0;                      // mean cross-entropy, without label smoothing
  double accuracy = 0;                  // share of images whose label has the largest logit
  std::optional<double> top5_accuracy;  // share whose label is among the five largest; from ten classes on
  int64_t images = 0;                   // how many were looked at: fewer than the set holds if stopped

  /// False if the model gave numbers that are not finite: the accuracy then means nothing.
  bool is_finite() const { return std::isfinite(loss); }
};

/// The middle value (the mean of the two middle ones for an even count); 0 if there is none.
double median(std::vector<double> values);

}  // namespace fovea
#pragma GCC visibility pop
