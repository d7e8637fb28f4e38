#pragma once

#include <vector>

#include "fovea/layers/linear.h"
#include "fovea/layers/residual_unit.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The default is ResNet-164, the paper's baseline: 9 * 18 + 2 layers.
struct PreActResNetSettings {
  int64_t classes = 10;
  int64_t input_size = 32;                      // height and width of an image; larger ones pass as well
  int64_t stem = 16;                            // channels of the 3x3 stem
  std::vector<int64_t> channels{64, 128, 256};  // output channels of each stage
  int64_t units = 18;                           // residual units of each stage
};

/// The least height and width at which every stride still has two rows to halve.
int64_t smallest_input(const PreActResNetSettings& settings);

/// 3x3 stem, stages of pre-activation bottlenecks (the first of each stage but the first has stride 2),
/// BN-ReLU, global average, linear. [N, H, W, 3] -> logits [N, classes]  (He et al., "Identity mappings",
/// 2016)
class PreActResNet : public Model {
 public:
  /// Initial values come from `seed`. UsageError for settings that make no sense or a too small input.
  PreActResNet(const PreActResNetSettings& settings, uint64_t seed);

  Variable forward(const Variable& x) override;

  void visit(Visitor& v) override;

  const PreActResNetSettings settings;
  Conv stem;
  std::vector<Sequential<ResidualUnit>> stages;
  BatchNorm norm;
  Linear linear;

 private:
  PreActResNet(const PreActResNetSettings& s, Rng rng);
};

}  // namespace fovea
#pragma GCC visibility pop
