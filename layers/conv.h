#pragma once

#include <cmath>

#include "fovea/layers/functional.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Convolution with a square window. [N, H, W, C] -> [N, H', W', K], H' = (H + 2 * padding - kernel) / stride
/// + 1 Initial values: He normal, fan-out, of deviation sqrt(2 / (K * kernel * kernel)); the bias, if any,
/// zero. (He et al., "Delving deep into rectifiers", 2015)
class Conv : public Module {
 public:
  Conv(int64_t C, int64_t K, int64_t kernel, int64_t stride, int64_t padding, Rng& rng, bool has_bias = false)
      : stride_(stride), padding_(padding) {
    check<UsageError>(C >= 1 && K >= 1 && kernel >= 1 && stride >= 1 && padding >= 0, "Conv: C=", C,
                      ", K=", K, ", kernel=", kernel, ", stride=", stride, ", padding=", padding,
                      "; wanted at least 1 each, and a padding of at least 0");
    const double deviation = std::sqrt(2.0 / static_cast<double>(K * kernel * kernel));
    weight = Variable(normal({K, kernel, kernel, C}, rng.next(), static_cast<float>(deviation)), true);
    if (has_bias) bias = Variable(Tensor::zeros({K}), true);
  }

  Variable forward(const Variable& x) { return F::conv(x, weight, bias, stride_, padding_); }

  int64_t stride() const { return stride_; }
  int64_t padding() const { return padding_; }

  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
  }

  Variable weight;  // [K, R, S, C]
  Variable bias;    // [K], or undefined

 private:
  int64_t stride_, padding_;
};

}  // namespace fovea
#pragma GCC visibility pop
