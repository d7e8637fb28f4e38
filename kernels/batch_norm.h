#pragma once

#include "fovea/kernels/kernel.h"

/// Batch normalisation over all axes but the last (Ioffe and Szegedy 2015, arXiv:1502.03167), in the passes
/// that it consists of. x, y, dy, dx: [..., C]; everything else: [C], f32 (f64 where x is f64). With rstd = 1
/// / sqrt(variance + epsilon) and xhat = (x - mean) * rstd. Nothing but x is kept for the backward pass: the
/// normalised and the activated values are computed again.
#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Averages over the batches of a training, which a forward pass moves: running = (1 - momentum) * running +
/// momentum * batch, where the batch's variance is made unbiased by rows / (rows - 1). Undefined: none.
struct RunningStatistics {
  Tensor mean, variance;
  double momentum = 0;
};

/// By how much the variance of so many rows is below that of what they are drawn from.
inline double unbiased_factor(int64_t rows) {
  return rows > 1 ? static_cast<double>(rows) / static_cast<double>(rows - 1) : 1.0;
}

/// What turns x into xhat * weight + bias.
struct NormConstants {
  Tensor mean, variance;
  Tensor weight, bias;
  double epsilon = 1e-5;
  bool of_batch = true;            // whether mean and variance are those of x, or constants
  RunningStatistics running = {};  // what a forward pass with this moves towards mean and variance
  int64_t shares = 1;              // mean and variance are of so many x, of equal size: see core/ranks.h

  /// This norm for a pass that moves no running statistics.
  NormConstants without_running() const {
    return {mean, variance, weight, bias, epsilon, of_batch, {}, shares};
  }

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    for (const Tensor* tensor : {&mean, &variance, &weight, &bias, &running.mean, &running.variance}) {
      visit(*tensor);
    }
  }
};

/// mean = average of x, variance = average of (x - mean)^2, over the rows; one pass over x. On the CPU they
/// may be f64 for any x.
FOVEA_KERNEL(batch_norm_statistics, const Tensor& x, Tensor& mean, Tensor& variance);

/// y = xhat * weight + bias, or relu of it. Moves norm.running.
FOVEA_KERNEL(batch_norm_forward, const Tensor& x, const NormConstants& norm, bool has_relu, Tensor& y);

/// With g = dy, or 0 where the relu was 0 (a NaN passes dy on): dweight = sum of g * xhat, dbias = sum of g;
/// one pass over dy and x.
FOVEA_KERNEL(batch_norm_backward_reduce, const Tensor& dy, const Tensor& x, const NormConstants& norm,
             bool has_relu, Tensor& dweight, Tensor& dbias);

/// dx = weight * rstd * (g - dbias / rows - xhat * dweight / rows) + other where mean and variance are those
/// of x, or of all shares of a batch, as rows, dweight and dbias are then, too; dx = weight * rstd * g +
/// other where they are constants. `other`, a gradient of x that comes another way, may be undefined. dx may
/// be dy, or other.
FOVEA_KERNEL(batch_norm_backward_input, const Tensor& dy, const Tensor& x, const NormConstants& norm,
             const Tensor& dweight, const Tensor& dbias, bool has_relu, const Tensor& other, Tensor& dx);

}  // namespace fovea::kernels
#pragma GCC visibility pop
