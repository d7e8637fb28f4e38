#pragma once

#include <cstdint>
#include <vector>

#include "fovea/core/autograd.h"
#include "fovea/core/random.h"

/// The differentiable operations: the table of contents. Images are [N, H, W, C], filters [K, R, S, C].
/// Each lives in layers/functional/<name>.cpp (add, sub, mul, scale in arithmetic.cpp, sum, mean in
/// reduce.cpp), forward and backward side by side; every one throws Error with the operation's name and the
/// shapes where they do not fit. They may be called from several threads at once on shared inputs, which no
/// thread changes meanwhile; batch norms in training change their running statistics. `backward` adds to the
/// gradients of leaves: no two threads may reach the same leaf, or the same result, at once.
#pragma GCC visibility push(default)
namespace fovea::F {

// Element by element; both sides have one shape.
Variable add(const Variable& a, const Variable& b);  ///< a + b
Variable sub(const Variable& a, const Variable& b);  ///< a - b
Variable mul(const Variable& a, const Variable& b);  ///< a * b
Variable scale(const Variable& x, double factor);    ///< factor * x
Variable relu(const Variable& x);                    ///< max(x, 0)
Variable sigmoid(const Variable& x);                 ///< 1 / (1 + exp(-x))
/// x where kept, scaled by 1/(1-p), else 0; element i is kept by number i of the stream. p in [0, 1).
Variable dropout(const Variable& x, double p, const Random& random);
/// x in another floating dtype.
Variable cast(const Variable& x, Dtype dtype);

// Shapes and sums.
Variable reshape(const Variable& x, const Shape& shape);
Variable concat(const std::vector<Variable>& parts, int axis);
Variable sum(const Variable& x);             ///< of all elements: []
Variable sum(const Variable& x, int axis);   ///< over one axis, which goes away
Variable mean(const Variable& x);            ///< of all elements: []
Variable mean(const Variable& x, int axis);  ///< over one axis, which goes away

// Products.
Variable matmul(const Variable& a, const Variable& b);  ///< [M, K] x [K, N] -> [M, N]
/// x * weight^T + bias.  x: [N, C], weight: [K, C], bias: [K] or undefined -> [N, K]
Variable linear(const Variable& x, const Variable& weight, const Variable& bias);
/// Cross-correlation. x: [N, H, W, C], weight: [K, R, S, C], bias: [K] or undefined -> [N, H', W', K],
/// H' = (H + 2 * padding - R) / stride + 1.
Variable conv(const Variable& x, const Variable& weight, const Variable& bias, int64_t stride,
              int64_t padding);

// Pooling and up-sampling.
/// The largest of each window; padding never wins. [N, H, W, C] -> [N, H', W', C], H' as in conv.
Variable max_pool(const Variable& x, int64_t window, int64_t stride, int64_t padding);
/// The mean of each window; padding counts as zeros. [N, H, W, C] -> [N, H', W', C], H' as in conv.
Variable average_pool(const Variable& x, int64_t window, int64_t stride, int64_t padding);
Variable global_average(const Variable& x);  ///< [N, H, W, C] -> [N, C]
/// Bilinear, align corners. [N, H, W, C] -> [N, out_h, out_w, C]
Variable upsample(const Variable& x, int64_t out_h, int64_t out_w);
/// upsample(x) to the size of skip, plus skip: one pass. x: [N, h, w, C], skip: [N, H, W, C]
Variable upsample_add(const Variable& x, const Variable& skip);

// Normalisation. Batch norm over all axes but the last, x: [..., C]; weight, bias, running_*: [C], f32 (f64
// for f64 x). Training: with the batch's mean and (biased) variance, and
// running = (1 - momentum) * running + momentum * batch (the variance unbiased), as PyTorch does. Otherwise
// with the running statistics. (Ioffe and Szegedy 2015)
struct BatchNormSettings {
  double epsilon = 1e-5;
  double momentum = 0.1;
  bool training = true;
  bool moves_running = true;  // in training: the running statistics towards the batch's
};
Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormSettings& settings);
/// relu(batch_norm(x)), fused.
Variable batch_norm_relu(const Variable& x, const Variable& weight, const Variable& bias,
                         Tensor& running_mean, Tensor& running_variance, const BatchNormSettings& settings);
/// A batch norm, a relu, and the convolution of their result, without bias.
struct PreactivationConv {
  Variable norm_weight, norm_bias;        // [C]
  Tensor running_mean, running_variance;  // [C]
  BatchNormSettings settings;
  Variable weight;  // [K, R, S, C]
  int64_t stride = 1, padding = 0;
};
/// One or more of them after each other, as in the residual units of He et al. 2016; then `residual` is
/// added, if it is defined (it may be x). Fused: the sum is not read again, and activated tensors are kept
/// for the backward pass only where a library's convolution on a CUDA device had to have them in memory. x:
/// [N, H, W, C] -> [N, H', W', K] of the last, whose moments are set in training, if they are wanted: for a
/// batch norm that comes next. (On a CPU they cost nothing that can be measured; behind cuDNN they are one
/// more read of the result: without this switch a step of attention92-wide moves 0.5 MB an image more.)
Variable preactivation_convs(const Variable& x, const std::vector<PreactivationConv>& convs,
                             const Variable& residual = {}, bool wants_moments = true);
/// x / max(||x||, 1e-12), the norm over the channels at each position (eq. 5 of the paper). [N, H, W, C]
Variable channel_norm(const Variable& x);
/// (x - mean) / sqrt(variance + 1e-5) over the positions of each channel of each image, the variance biased
/// (inside eq. 6 of the paper: the sigmoid follows). [N, H, W, C]
Variable spatial_norm(const Variable& x);

// Attention.
/// (1 + sigmoid(m)) * t: attention residual learning (eq. 3). The mask is never stored.
Variable attention_merge(const Variable& m, const Variable& t);
/// sigmoid(m) * t: naive attention learning (eq. 1).
Variable attention_merge_naive(const Variable& m, const Variable& t);

// Classification; over the last axis.
Variable softmax(const Variable& x);
Variable log_softmax(const Variable& x);
/// Mean over the rows of the cross-entropy of softmax(logits) against (1 - smoothing) * onehot(label) +
/// smoothing / C. logits: [N, C], labels: i32 [N] -> []
Variable softmax_cross_entropy(const Variable& logits, const Tensor& labels, double smoothing = 0.0);
/// softmax_cross_entropy against whole distributions.  targets: [N, C], dtype of the logits
Variable softmax_cross_entropy_soft(const Variable& logits, const Tensor& targets);

}  // namespace fovea::F
#pragma GCC visibility pop
