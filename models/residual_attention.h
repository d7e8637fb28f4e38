#pragma once

#include <optional>
#include <vector>

#include "fovea/layers/attention_module.h"
#include "fovea/layers/linear.h"

#pragma GCC visibility push(default)
namespace fovea {

/// The first layers: one 3x3 convolution for small images; for ImageNet's a 7x7/2 convolution and, after its
/// BN-ReLU, a 3x3/2 max-pool.
enum class StemKind { conv3x3, conv7x7_pool };

/// One member of the family; the default is Attention-92 for 32x32 images. The vectors have an entry a stage.
struct ResidualAttentionSettings : AttentionSettings {
  int64_t classes = 10;
  int64_t input_size = 32;  // height and width of an image; larger ones pass as well
  StemKind stem_kind = StemKind::conv3x3;
  int64_t stem = 16;                            // channels of the stem
  bool stem_bn = false;                         // BN-ReLU after the stem; else the first unit's does it
  std::vector<int64_t> channels{64, 128, 256};  // output channels of each stage
  std::vector<int64_t> modules{2, 2, 2};        // attention modules of each stage
  std::vector<int64_t> mask_depth{3, 2, 1};     // poolings in each mask branch of a stage
  bool closing_unit = true;                     // one more unit after each stage's modules
  std::vector<int64_t> tail;                    // output channels of the units after the last stage
  int64_t tail_stride = 1;                      // stride of the first tail unit
};

/// The least height and width at which every stride and every pooling still has two rows to halve.
int64_t smallest_input(const ResidualAttentionSettings& settings);

/// One unit (stride 2 but in the first stage), attention modules, and the closing unit where there is one.
class AttentionStage : public Module {
 public:
  AttentionStage(int64_t C, size_t stage, const ResidualAttentionSettings& settings, Rng& rng);

  Variable forward(const Variable& x);

  void visit(Visitor& v) override;

  ResidualUnit unit;
  std::vector<AttentionModule> modules;
  std::optional<ResidualUnit> closing;
};

/// The Residual Attention Network: stem, stages, tail, BN-ReLU, global average, linear.
/// [N, H, W, 3] -> logits [N, classes]  (Wang et al., CVPR 2017, arXiv:1704.06904)
class ResidualAttentionNetwork : public Model {
 public:
  /// Initial values come from `seed`. UsageError for settings that make no sense or an input that is too
  /// small; it says what the smallest is.
  ResidualAttentionNetwork(const ResidualAttentionSettings& settings, uint64_t seed);

  Variable forward(const Variable& x) override;

  void visit(Visitor& v) override;

  const ResidualAttentionSettings settings;
  Conv stem;
  std::optional<BatchNorm> stem_norm;
  std::vector<AttentionStage> stages;
  Sequential<ResidualUnit> tail;
  BatchNorm norm;
  Linear linear;

 private:
  ResidualAttentionNetwork(const ResidualAttentionSettings& s, Rng rng);
};

}  // namespace fovea
#pragma GCC visibility pop
