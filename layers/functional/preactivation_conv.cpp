#include "fovea/kernels/preactivation_conv.h"

#include <algorithm>
#include <utility>

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/conv_shape.h"
#include "fovea/layers/functional/defined.h"
#include "fovea/layers/functional/norm_constants.h"

namespace fovea {
namespace {

constexpr const char* kOperation = "preactivation_convs";

/// Whether the results between the convolutions are needed: by a backward pass, for statistics, by observers.
bool needs_results(const Variable& x, const std::vector<F::PreactivationConv>& convs,
                   const Variable& residual) {
  bool requires_grad = x.requires_grad() || residual.requires_grad(), training = false;
  for (const F::PreactivationConv& conv : convs) {
    requires_grad = requires_grad || conv.weight.requires_grad() || conv.norm_weight.requires_grad() ||
                    conv.norm_bias.requires_grad();
    training = training || conv.settings.training;
  }
  return training || is_observed() || (requires_grad && grad_enabled());
}

/// The shapes of x and of every result, after all arguments were checked: nothing has moved where one is
/// wrong.
std::vector<Shape> checked_shapes(const Tensor& x, const std::vector<F::PreactivationConv>& convs,
                                  const Tensor& residual) {
  check(!convs.empty(), kOperation, ": no convolution");
  std::vector<Shape> shapes{x.shape()};
  for (const F::PreactivationConv& conv : convs) {
    const Shape result = checked_conv_shape(kOperation, shapes.back(), x.dtype(), conv.weight.value(),
                                            conv.stride, conv.padding);
    check_norm(kOperation, shapes.back(), x.dtype(), conv.norm_weight.value(), conv.norm_bias.value(),
               conv.running_mean, conv.running_variance, conv.settings);
    shapes.push_back(result);
  }
  check(!residual.defined() || (residual.shape() == shapes.back() && residual.dtype() == x.dtype()),
        kOperation, ": residual is ", residual, ", wanted ", x.dtype(), shapes.back());
  return shapes;
}

kernels::PreactivationStage stage_of(const Tensor& x, const ChannelMoments& moments,
                                     F::PreactivationConv conv) {
  return {norm_constants(x, moments, conv.norm_weight.value(), conv.norm_bias.value(), conv.running_mean,
                         conv.running_variance, conv.settings),
          conv.weight.value(), conv.stride, conv.padding};
}

void observe_step(const Variable& x, const F::PreactivationConv& conv, const Variable& residual,
                  const Tensor& y) {
  Operation step{"preactivation_conv",
                 norm_attributes(conv.running_mean, conv.running_variance, conv.settings)};
  step.attributes.insert(step.attributes.end(), {{"stride", conv.stride}, {"padding", conv.padding}});
  std::vector<Variable> inputs{x, conv.norm_weight, conv.norm_bias, conv.weight};
  if (residual.defined()) inputs.push_back(residual);
  observe(step, y, inputs);
}

/// The result alone, for inference.
Tensor result_of(const Tensor& x, const std::vector<F::PreactivationConv>& convs, const Tensor& residual,
                 const Shape& shape) {
  kernels::PreactivationStages chain;
  for (const F::PreactivationConv& conv : convs) chain.stages.push_back(stage_of({}, {}, conv));
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels::preactivation_chain_forward(x, chain, residual, y);
  return y;
}

}  // namespace

Variable F::preactivation_convs(const Variable& x, const std::vector<PreactivationConv>& convs,
                                const Variable& residual, bool wants_moments) {
  check_defined(kOperation, "x", x);
  for (const PreactivationConv& conv : convs) {
    check_defined(kOperation, "norm_weight", conv.norm_weight, "norm_bias", conv.norm_bias, "weight",
                  conv.weight);
  }
  const Tensor rt = residual.defined() ? residual.value() : Tensor();
  const std::vector<Shape> shapes = checked_shapes(x.value(), convs, rt);
  if (!needs_results(x, convs, residual)) {
    return record(kOperation, result_of(x.value(), convs, rt, shapes.back()), {x}, {});
  }
  std::vector<Variable> parameters;  // three a stage
  std::vector<kernels::SavedPreactivation> stages;
  std::vector<Tensor> saved;
  Variable y = x;
  for (size_t i = 0; i < convs.size(); ++i) {
    const PreactivationConv& conv = convs[i];
    const bool is_last = i + 1 == convs.size();
    const Tensor yt = y.value();
    kernels::SavedPreactivation saved_stage{stage_of(yt, moments_of(y), conv), yt, {}};
    kernels::PreactivationStage& stage = saved_stage.stage;
    Tensor result = Tensor::empty(shapes[i + 1], yt.dtype(), yt.device());
    ChannelMoments moments;
    if (conv.settings.training && (wants_moments || !is_last)) {
      moments = new_moments(shapes[i + 1][3], stage.norm.mean.dtype(), yt.device());
    }
    kernels::preactivation_conv_forward(yt, stage, is_last ? rt : Tensor(), result, saved_stage.activated,
                                        moments.mean, moments.variance);
    join_over_ranks(moments, stage.norm.mean.dtype());
    if (is_observed()) observe_step(y, conv, is_last ? residual : Variable(), result);
    keep_for_backward(stage.norm);
    saved.insert(saved.end(), {yt, stage.weight, stage.norm.mean, stage.norm.variance, stage.norm.weight,
                               stage.norm.bias});
    stages.push_back(saved_stage);
    parameters.insert(parameters.end(), {conv.norm_weight, conv.norm_bias, conv.weight});
    y = Variable(result);
    set_moments(y, std::move(moments));
  }
  // Where x itself is added, its two gradients are one.
  const bool adds_x = residual.defined() && residual.same_as(x), adds_other = residual.defined() && !adds_x;
  std::vector<Variable> inputs{x};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  if (adds_other) inputs.push_back(residual);

  const bool needs_dx = x.requires_grad();
  const EarlierGradient earlier = x.earlier_gradient();
  const bool needs_stages =
      needs_dx || std::any_of(parameters.begin(), parameters.end(),
                              [](const Variable& parameter) { return parameter.requires_grad(); });
  Variable result = record(
      kOperation, y.value(), std::move(inputs),
      [=](const Tensor& dy) mutable {
        std::vector<Tensor> gradients(1 + parameters.size() + (adds_other ? 1 : 0));
        if (adds_other) gradients.back() = dy;
        if (!needs_stages) return gradients;
        Tensor gradient = dy;
        kernels::NextNorm next;
        for (size_t i = stages.size(); i-- > 0;) {
          kernels::SavedPreactivation& stage = stages[i];
          Tensor* const of_parameters = &gradients[1 + 3 * i];  // norm weight, norm bias, weight
          for (size_t j = 0; j < 3; ++j) of_parameters[j] = parameters[3 * i + j].new_gradient();
          kernels::PreactivationGradients of_stage{of_parameters[2], of_parameters[0], of_parameters[1]};
          Tensor dx = Tensor::empty_like(stage.x);
          const bool is_first = i == 0 && needs_dx, is_shared = stage.stage.norm.shares > 1;
          const Tensor other = adds_x ? dy : Tensor();
          if (is_first && !is_shared) {
            kernels::preactivation_conv_backward_input(gradient, next, stage, other, earlier.take(), dx,
                                                       of_stage);
          } else {
            kernels::preactivation_conv_backward(gradient, next, stage, dx, of_stage);
            const NormSums sums = sums_over_ranks(stage.stage.norm, of_stage.norm_weight, of_stage.norm_bias);
            if (is_first) {
              kernels::preactivation_input_gradient(stage, sums.dweight, sums.dbias, other, earlier.take(),
                                                    dx);
            }
            next = {stage.x, stage.stage.norm, sums.dweight, sums.dbias};
            gradient = dx;
          }
          if (is_first) gradients[0] = dx;
          stage.activated = {};  // whose memory the next stage may take
        }
        return gradients;
      },
      std::move(saved));
  set_moments(result, moments_of(y));
  return result;
}

}  // namespace fovea
