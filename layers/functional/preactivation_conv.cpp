#include "fovea/kernels/preactivation_conv.h"

#include <utility>

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/normalisation.h"

namespace fovea {
namespace {

constexpr const char* kOperation = "preactivation_convs";

/// A stage as its kernels take it, with what the backward pass needs.
struct Stage {
  Tensor x;
  kernels::Normalisation norm;
  Tensor weight;
  int64_t stride, padding;
};

}  // namespace

Variable F::preactivation_convs(const Variable& x, const std::vector<PreactivationConv>& convs,
                                const Variable& residual) {
  check(!convs.empty(), kOperation, ": no convolution");
  const Tensor rt = residual.defined() ? residual.value() : Tensor();
  std::vector<Variable> parameters;  // three a stage
  std::vector<Stage> stages;
  Variable y = x;
  for (size_t i = 0; i < convs.size(); ++i) {
    PreactivationConv conv = convs[i];
    const bool is_last = i + 1 == convs.size();
    const Tensor yt = y.value(), wt = conv.weight.value();
    const Shape shape = conv_shape(kOperation, yt, wt, conv.stride, conv.padding);
    check(!is_last || !rt.defined() || (rt.shape() == shape && rt.dtype() == yt.dtype()), kOperation,
          ": residual is ", rt, ", wanted ", yt.dtype(), shape);
    const kernels::Normalisation norm =
        normalisation_of(kOperation, yt, y.moments(), conv.norm_weight.value(), conv.norm_bias.value(),
                         conv.running_mean, conv.running_variance, conv.settings);
    Tensor result = Tensor::empty(shape, yt.dtype(), yt.device());
    ChannelMoments moments;
    if (conv.settings.training) {
      moments.mean = Tensor::empty({shape[3]}, norm.mean.dtype(), yt.device());
      moments.variance = Tensor::empty_like(moments.mean);
    }
    kernels::preactivation_conv_forward(yt, norm, wt, conv.stride, conv.padding, is_last ? rt : Tensor(),
                                        result, moments.mean, moments.variance);
    observe("preactivation_conv", result,
            std::vector<Variable>{y, conv.norm_weight, conv.norm_bias, conv.weight});
    stages.push_back({yt, norm, wt, conv.stride, conv.padding});
    parameters.insert(parameters.end(), {conv.norm_weight, conv.norm_bias, conv.weight});
    y = Variable(result);
    y.set_moments(std::move(moments));
  }
  // Where x itself is added, its two gradients are one.
  const bool adds_x = residual.defined() && residual.same_as(x), adds_other = residual.defined() && !adds_x;
  std::vector<Variable> inputs{x};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  if (adds_other) inputs.push_back(residual);

  const bool needs_dx = x.requires_grad();
  Variable result = record(kOperation, y.value(), std::move(inputs), [=](const Tensor& dy) {
    std::vector<Tensor> gradients(1 + parameters.size() + (adds_other ? 1 : 0));
    Tensor gradient = dy;
    kernels::NextNormalisation next;
    for (size_t i = stages.size(); i-- > 0;) {
      const Stage& stage = stages[i];
      Tensor* const of_parameters = &gradients[1 + 3 * i];
      for (size_t j = 0; j < 3; ++j) of_parameters[j] = parameters[3 * i + j].new_gradient();
      Tensor da = Tensor::empty_like(stage.x);
      kernels::preactivation_conv_backward(gradient, next, stage.x, stage.norm, stage.weight, stage.stride,
                                           stage.padding, da, of_parameters[2], of_parameters[0],
                                           of_parameters[1]);
      next = {stage.x, stage.norm, of_parameters[0], of_parameters[1]};
      gradient = da;
    }
    if (needs_dx) {
      Tensor dx = gradient;
      kernels::batch_norm_backward_input(gradient, next.y, next.norm, next.dweight, next.dbias,
                                         /*has_relu=*/true, adds_x ? dy : Tensor(), dx);
      gradients[0] = dx;
    }
    if (adds_other) gradients.back() = dy;
    return gradients;
  });
  result.set_moments(y.moments());
  return result;
}

}  // namespace fovea
