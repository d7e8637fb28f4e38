#pragma once

#include <cstdint>
#include <vector>

#include "fovea/kernels/batch_norm.h"

/// Pre-activation convolution (He et al., "Identity mappings in deep residual networks", 2016,
/// arXiv:1603.05027): batch norm, relu and convolution as one pass over x. With a = relu(norm(x)):
///   y = conv(a) + residual, a padded with zeros
/// x, a: [N, H, W, C], weight: [K, R, S, C], y, residual: [N, P, Q, K].
namespace fovea::kernels {

/// Where a result y goes on: into the pre-activation convolution of `norm`, whose backward pass has left
/// dweight and dbias. Undefined y: elsewhere.
struct NextNormalisation {
  Tensor y;  // [N, P, Q, K]
  Normalisation norm;
  Tensor dweight, dbias;  // [K]

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(y);
    norm.for_each_tensor(visit);
    visit(dweight);
    visit(dbias);
  }
};

/// Moves norm.running. `residual` may be undefined. `activated` becomes a where that had to be stored, for a
/// library's convolution, and stays undefined where the backward pass computes it again while it reads x.
/// mean, variance: [K], those of y over all axes but the last, or both undefined where nobody needs them.
FOVEA_KERNEL(preactivation_conv_forward, const Tensor& x, const Normalisation& norm, const Tensor& weight,
             int64_t stride, int64_t padding, const Tensor& residual, Tensor& y, Tensor& activated,
             Tensor& mean, Tensor& variance);

/// da = the gradient with respect to a, dweight and dbias = those of norm's weight and bias: what
/// batch_norm_backward_input needs to make dx of. dfilters = the gradient of the weights.
/// activated: as the forward pass left it. dy: [N, P, Q, K], the gradient of y, or, where `next.y` is
/// defined, that of relu(next.norm(y)).
FOVEA_KERNEL(preactivation_conv_backward, const Tensor& dy, const NextNormalisation& next, const Tensor& x,
             const Tensor& activated, const Normalisation& norm, const Tensor& weight, int64_t stride,
             int64_t padding, Tensor& da, Tensor& dfilters, Tensor& dweight, Tensor& dbias);

/// The same, but the gradient with respect to x itself, plus `other` and `earlier`, gradients of x that come
/// other ways; either may be undefined. dx is none of the others.
FOVEA_KERNEL(preactivation_conv_backward_input, const Tensor& dy, const NextNormalisation& next,
             const Tensor& x, const Tensor& activated, const Normalisation& norm, const Tensor& weight,
             int64_t stride, int64_t padding, const Tensor& other, const Tensor& earlier, Tensor& dx,
             Tensor& dfilters, Tensor& dweight, Tensor& dbias);

/// One pre-activation convolution of several after each other.
struct PreactivationStage {
  Normalisation norm;
  Tensor weight;
  int64_t stride, padding;
};
struct PreactivationStages {
  std::vector<PreactivationStage> stages;  // at least one

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    for (const PreactivationStage& stage : stages) {
      stage.norm.for_each_tensor(visit);
      visit(stage.weight);
    }
  }
};

/// y = the stages after each other on x, plus residual, if that is defined: for inference, where nothing in
/// between is kept. The norms' means and variances are constants.
FOVEA_KERNEL(preactivation_chain_forward, const Tensor& x, const PreactivationStages& chain,
             const Tensor& residual, Tensor& y);

/// The same, put together from the passes that batch norm and convolution consist of: for devices and dtypes
/// without a fused form.
void composed_preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                         int64_t stride, int64_t padding, const Tensor& residual, Tensor& y,
                                         Tensor& activated, Tensor& mean, Tensor& variance);
void composed_preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                          const Tensor& activated, const Normalisation& norm,
                                          const Tensor& weight, int64_t stride, int64_t padding, Tensor& da,
                                          Tensor& dfilters, Tensor& dweight, Tensor& dbias);
void composed_preactivation_conv_backward_input(const Tensor& dy, const NextNormalisation& next,
                                                const Tensor& x, const Tensor& activated,
                                                const Normalisation& norm, const Tensor& weight,
                                                int64_t stride, int64_t padding, const Tensor& other,
                                                const Tensor& earlier, Tensor& dx, Tensor& dfilters,
                                                Tensor& dweight, Tensor& dbias);
void composed_preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain,
                                          const Tensor& residual, Tensor& y);

}  // namespace fovea::kernels
