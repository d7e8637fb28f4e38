#pragma once

#include <optional>

#include "fovea/layers/conv.h"
#include "fovea/layers/norm.h"
#include "fovea/layers/sequential.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Pre-activation bottleneck: BN-ReLU-1x1 (K/4), BN-ReLU-3x3 (stride), BN-ReLU-1x1 (K), plus the shortcut: x
/// itself, or, where the shapes differ, a 1x1 convolution (stride) of the first BN-ReLU's output.
/// [N, H, W, C] -> [N, ceil(H/stride), ceil(W/stride), K]  (He et al., "Identity mappings", 2016)
class ResidualUnit : public Module {
 public:
  /// UsageError unless K is a multiple of 4.
  ResidualUnit(int64_t C, int64_t K, int64_t stride, Rng& rng)
      : norm1(C),
        reduce(C, quarter(K), /*kernel=*/1, /*stride=*/1, /*padding=*/0, rng),
        norm2(K / 4),
        conv(K / 4, K / 4, /*kernel=*/3, stride, /*padding=*/1, rng),
        norm3(K / 4),
        expand(K / 4, K, /*kernel=*/1, /*stride=*/1, /*padding=*/0, rng) {
    if (C != K || stride != 1) project.emplace(C, K, /*kernel=*/1, stride, /*padding=*/0, rng);
  }

  Variable forward(const Variable& x) {
    Variable shortcut = x;
    if (project) {
      shortcut = F::preactivation_convs(x, {norm1.then_again(*project)}, {}, /*wants_moments=*/false);
    }
    return F::preactivation_convs(x, {norm1.then(reduce), norm2.then(conv), norm3.then(expand)}, shortcut);
  }

  void visit(Visitor& v) override {
    v("norm1", norm1);
    v("reduce", reduce);
    v("norm2", norm2);
    v("conv", conv);
    v("norm3", norm3);
    v("expand", expand);
    v("project", project);
  }

  BatchNorm norm1;              // [C]
  Conv reduce;                  // [K/4, 1, 1, C]
  BatchNorm norm2;              // [K/4]
  Conv conv;                    // [K/4, 3, 3, K/4]
  BatchNorm norm3;              // [K/4]
  Conv expand;                  // [K, 1, 1, K/4]
  std::optional<Conv> project;  // [K, 1, 1, C]

 private:
  static int64_t quarter(int64_t K) {
    check<UsageError>(K >= 4 && K % 4 == 0, "ResidualUnit: ", K, " output channels, wanted a multiple of 4");
    return K / 4;
  }
};

/// `count` units that keep the shape. [N, H, W, C] -> [N, H, W, C]
inline Sequential<ResidualUnit> residual_units(int64_t C, int64_t count, Rng& rng) {
  Sequential<ResidualUnit> units;
  for (int64_t i = 0; i < count; ++i) units.add(ResidualUnit(C, C, /*stride=*/1, rng));
  return units;
}

}  // namespace fovea
#pragma GCC visibility pop
