#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// correct += the number of rows whose label is among the k largest logits: fewer than k others are larger,
/// or equal and of a smaller index. A row with a NaN at its label does not count. A label outside [0, C) is
/// an Error on the CPU; on another device it does not count. logits: [N, C], labels: i32 [N], correct: i64 []
FOVEA_KERNEL(count_correct, const Tensor& logits, const Tensor& labels, int64_t k, Tensor& correct);

}  // namespace fovea::kernels
#pragma GCC visibility pop
