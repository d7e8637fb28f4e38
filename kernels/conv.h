#pragma once

#include <cstdint>

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Cross-correlation with zero padding:
///   y[n, p, q, k] = bias[k] + sum over r, s, c of weight[k, r, s, c] * x[n, p*stride - padding + r,
///                                                                        q*stride - padding + s, c]
/// x: [N, H, W, C], weight: [K, R, S, C], bias: [K] or undefined, y: [N, P, Q, K]
FOVEA_MULTIPLYING_KERNEL(conv_forward, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         int64_t stride, int64_t padding, Tensor& y);

/// Plans for convolutions, which are kept in the order of their last use: a shape that comes again need not
/// be planned again. What the kernels keep, at most, and how many were made since the program started.
struct ConvPlanCounts {
  int64_t kept = 0, most = 0, made = 0;
};
/// Those of the CPU; zeros in a build without oneDNN.
ConvPlanCounts conv_plan_counts();

/// The gradient of conv_forward with respect to x.  dy: [N, P, Q, K], dx: [N, H, W, C]
FOVEA_MULTIPLYING_KERNEL(conv_backward_input, const Tensor& dy, const Tensor& weight, int64_t stride,
                         int64_t padding, Tensor& dx);

/// The gradient of conv_forward with respect to weight.  dweight: [K, R, S, C]
FOVEA_MULTIPLYING_KERNEL(conv_backward_weight, const Tensor& x, const Tensor& dy, int64_t stride,
                         int64_t padding, Tensor& dweight);

/// The gradient of conv_forward with respect to bias: dbias[k] = sum over n, p, q of dy.  dbias: [K]
FOVEA_KERNEL(conv_backward_bias, const Tensor& dy, Tensor& dbias);

}  // namespace fovea::kernels
#pragma GCC visibility pop
