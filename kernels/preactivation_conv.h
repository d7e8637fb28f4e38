#pragma once

#include <cstdint>
#include <vector>

#include "fovea/kernels/batch_norm.h"

/// Pre-activation convolution (He et al., "Identity mappings in deep residual networks", 2016,
/// arXiv:1603.05027): batch norm, relu and convolution as one pass over x. With a = relu(norm(x)):
///   y = conv(a) + residual, a padded with zeros
/// x, a: [N, H, W, C], weight: [K, R, S, C], y, residual: [N, P, Q, K].
#pragma GCC visibility push(default)
namespace fovea::kernels {

/// A pre-activation convolution without its x.
struct PreactivationStage {
  NormConstants norm;
  Tensor weight;
  int64_t stride, padding;

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    norm.for_each_tensor(visit);
    visit(weight);
  }
};

/// What a forward pass leaves for the backward pass: `activated` is a where that had to be stored, for a
/// library's convolution, and undefined where the backward pass computes it again while it reads x.
struct SavedPreactivation {
  PreactivationStage stage;
  Tensor x, activated;

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(x);
    visit(activated);
    stage.for_each_tensor(visit);
  }
};

/// The gradients of a stage's parameters.  weight: [K, R, S, C], norm_weight and norm_bias: [C]
struct PreactivationGradients {
  Tensor weight, norm_weight, norm_bias;

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(weight);
    visit(norm_weight);
    visit(norm_bias);
  }
};

/// Where a result y goes on: into the pre-activation convolution of `norm`, whose backward pass has left
/// dweight and dbias. Undefined y: elsewhere.
struct NextNorm {
  Tensor y;  // [N, P, Q, K]
  NormConstants norm;
  Tensor dweight, dbias;  // [K]

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    visit(y);
    norm.for_each_tensor(visit);
    visit(dweight);
    visit(dbias);
  }
};

/// Moves norm.running. `residual` may be undefined. `activated`: as in SavedPreactivation.
/// mean, variance: [K], those of y over all axes but the last (of 16 bits, those before it is rounded, where
/// the form is fused), or both undefined where nobody needs them; as of batch_norm_statistics.
FOVEA_MULTIPLYING_KERNEL(preactivation_conv_forward, const Tensor& x, const PreactivationStage& stage,
                         const Tensor& residual, Tensor& y, Tensor& activated, Tensor& mean,
                         Tensor& variance);

/// da = the gradient with respect to a, and those of the parameters: what batch_norm_backward_input needs to
/// make dx of. dy: [N, P, Q, K], the gradient of y, or, where `next.y` is defined, that of
/// relu(next.norm(y)).
FOVEA_MULTIPLYING_KERNEL(preactivation_conv_backward, const Tensor& dy, const NextNorm& next,
                         const SavedPreactivation& saved, Tensor& da, PreactivationGradients& gradients);

/// preactivation_conv_backward, but with the gradient with respect to x itself, plus `other` and `earlier`,
/// gradients of x that come other ways; either may be undefined. dx is none of the others.
FOVEA_MULTIPLYING_KERNEL(preactivation_conv_backward_input, const Tensor& dy, const NextNorm& next,
                         const SavedPreactivation& saved, const Tensor& other, const Tensor& earlier,
                         Tensor& dx, PreactivationGradients& gradients);

/// From dx = the gradient with respect to a to that with respect to x, plus `other` and `earlier`, which may
/// be undefined: what is left of preactivation_conv_backward_input after preactivation_conv_backward.
/// dweight, dbias: the gradients of the norm's weight and bias over all of the batch.
void preactivation_input_gradient(const SavedPreactivation& saved, const Tensor& dweight, const Tensor& dbias,
                                  const Tensor& other, const Tensor& earlier, Tensor& dx);

/// Several pre-activation convolutions after each other.
struct PreactivationStages {
  std::vector<PreactivationStage> stages;  // at least one

  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    for (const PreactivationStage& stage : stages) stage.for_each_tensor(visit);
  }
};

/// y = the stages after each other on x, plus residual, if that is defined: for inference, where nothing in
/// between is kept. The norms' means and variances are constants.
FOVEA_MULTIPLYING_KERNEL(preactivation_chain_forward, const Tensor& x, const PreactivationStages& chain,
                         const Tensor& residual, Tensor& y);

/// The kernels above, put together from the passes that batch norm and convolution consist of: for devices
/// and dtypes without a fused form.
void composed_preactivation_conv_forward(const Tensor& x, const PreactivationStage& stage,
                                         const Tensor& residual, Tensor& y, Tensor& activated, Tensor& mean,
                                         Tensor& variance);
void composed_preactivation_conv_backward(const Tensor& dy, const NextNorm& next,
                                          const SavedPreactivation& saved, Tensor& da,
                                          PreactivationGradients& gradients);
void composed_preactivation_conv_backward_input(const Tensor& dy, const NextNorm& next,
                                                const SavedPreactivation& saved, const Tensor& other,
                                                const Tensor& earlier, Tensor& dx,
                                                PreactivationGradients& gradients);
void composed_preactivation_chain_forward(const Tensor& x, const PreactivationStages& chain,
                                          const Tensor& residual, Tensor& y);

}  // namespace fovea::kernels
#pragma GCC visibility pop
