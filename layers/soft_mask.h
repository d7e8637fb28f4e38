#pragma once

#include <vector>

#include "fovea/layers/attention_settings.h"
#include "fovea/layers/residual_unit.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The mask branch up to its logits, before they are normalised. [N, H, W, C] -> [N, H, W, C]
/// Depth d: (max-pool 3x3/2, r units) d-1 times, max-pool, 2r units, then d times bilinear up-sampling; after
/// each but the last the skip (one unit of the map kept on the way down) is added and r units follow. At the
/// end BN-ReLU-1x1 twice. Depth 0: 2r units, no pooling. (Figure 2 of Wang et al., arXiv:1704.06904)
class SoftMask : public Module {
 public:
  /// What of the settings concerns the mask branch.
  SoftMask(int64_t C, int64_t depth, const AttentionSettings& settings, Rng& rng);

  /// x: the module's input after its first units; trunk: the trunk's output, which extra adds take.
  Variable forward(const Variable& x, const Variable& trunk);

  void visit(Visitor& v) override;

  std::vector<Sequential<ResidualUnit>> down;  // d-1 times r units, after each pooling but the last
  std::vector<ResidualUnit> skip;              // d-1 units, from the way down to the way up
  Sequential<ResidualUnit> middle;             // 2r units at the smallest size; all units of a local branch
  std::vector<Sequential<ResidualUnit>> up;    // d-1 times r units, after each up-sampling but the last
  BatchNorm norm1;                             // [C]
  Conv conv1;                                  // [C, 1, 1, C]
  BatchNorm norm2;                             // [C]
  Conv conv2;                                  // [C, 1, 1, C]

 private:
  int64_t poolings_;
  AttentionSettings settings_;
};

}  // namespace fovea
#pragma GCC visibility pop
