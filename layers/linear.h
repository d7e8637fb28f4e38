#pragma once

#include <cmath>

#include "fovea/layers/functional.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// x * weight^T + bias. [N, C] -> [N, K]
/// Initial values of weight and bias: uniform between -1/sqrt(C) and 1/sqrt(C), as in PyTorch.
class Linear : public Module {
 public:
  Linear(int64_t C, int64_t K, Rng& rng) {
    check<UsageError>(C >= 1 && K >= 1, "Linear: C=", C, ", K=", K, "; wanted at least 1 each");
    const float bound = 1.0f / std::sqrt(static_cast<float>(C));
    weight = Variable(uniform({K, C}, rng.next(), -bound, bound), true);
    bias = Variable(uniform({K}, rng.next(), -bound, bound), true);
  }

  Variable forward(const Variable& x) { return F::linear(x, weight, bias); }

  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
  }

  Variable weight;  // [K, C]
  Variable bias;    // [K]
};

}  // namespace fovea
#pragma GCC visibility pop
