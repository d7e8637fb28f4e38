#pragma once

#include "fovea/layers/conv.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Batch normalisation over all axes but the last: with the batch's statistics while training, with the
/// running ones otherwise. [..., C] -> [..., C]  (Ioffe and Szegedy, "Batch normalization", 2015)
class BatchNorm : public Module {
 public:
  explicit BatchNorm(int64_t C)
      : weight(Tensor::full({C}, 1.0), true),
        bias(Tensor::zeros({C}), true),
        running_mean(Tensor::zeros({C})),
        running_variance(Tensor::full({C}, 1.0)) {}

  Variable forward(const Variable& x) {
    return F::batch_norm(x, weight, bias, running_mean, running_variance, {.training = is_training()});
  }
  /// relu(forward(x)), fused.
  Variable forward_relu(const Variable& x) {
    return F::batch_norm_relu(x, weight, bias, running_mean, running_variance, {.training = is_training()});
  }

  /// conv(relu(forward(x))), to be fused: for F::preactivation_convs. The convolution must have no bias.
  F::PreactivationConv then(const Conv& conv) const {
    check<UsageError>(!conv.bias.defined(), "BatchNorm::then: the convolution has a bias");
    return {weight,      bias,          running_mean,  running_variance, {.training = is_training()},
            conv.weight, conv.stride(), conv.padding()};
  }

  /// `then` for a second convolution of the same activated tensor: leaves the running statistics alone, which
  /// `then` moves. The activated tensor is made twice: to share it would take no less time, and more memory.
  F::PreactivationConv then_again(const Conv& conv) const {
    F::PreactivationConv result = then(conv);
    result.settings.moves_running = false;
    return result;
  }

  void visit(Visitor& v) override {
    v("weight", weight, StaysF32());
    v("bias", bias, StaysF32());
    v("running_mean", running_mean);
    v("running_variance", running_variance);
  }

  Variable weight;          // [C]
  Variable bias;            // [C]
  Tensor running_mean;      // [C]
  Tensor running_variance;  // [C]
};

}  // namespace fovea
#pragma GCC visibility pop
