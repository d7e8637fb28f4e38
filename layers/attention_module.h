#pragma once

#include <functional>
#include <string>

#include "fovea/layers/soft_mask.h"

namespace fovea {

/// How the logits x become the mask M: mixed sigmoid(x); channel x / ||x|| over the channels at each
/// position; spatial sigmoid((x - mean) / deviation) over the positions of each channel. (eq. 4, 5, 6 of the
/// paper)
enum class Attention { mixed, channel, spatial };
const char* name_of(Attention attention);
/// From "mixed", "channel" or "spatial"; UsageError otherwise.
Attention parse_attention(const std::string& name);

/// How mask M and trunk T become one: residual (1 + M) * T (eq. 3), naive M * T (eq. 1).
enum class Merge { residual, naive };
const char* name_of(Merge merge);
/// From "residual" or "naive"; UsageError otherwise.
Merge parse_merge(const std::string& name);

/// The switches of an attention module.
struct AttentionSettings {
  int64_t p = 1;  // units before the branches part, and again after the merge
  int64_t t = 2;  // units of the trunk
  int64_t r = 1;  // units between two poolings of the mask branch
  Attention attention = Attention::mixed;
  Merge merge = Merge::residual;
  MaskKind mask = MaskKind::down_up;
  bool extra_adds = false;  // the popular ports' adds in the mask branch: see SoftMask
};

/// p units; a trunk of t units and a mask branch side by side; their merge; p units.
/// [N, H, W, C] -> [N, H, W, C]  (Wang et al., arXiv:1704.06904, section 3)
class AttentionModule : public Module {
 public:
  AttentionModule(int64_t C, int64_t mask_depth, const AttentionSettings& settings, Rng& rng);

  Variable forward(const Variable& x);
  /// The mask M that logits of the mask branch stand for. [N, H, W, C] -> [N, H, W, C], in [0, 1]; with
  /// channel attention in [-1, 1].
  Variable mask_of(const Variable& logits) const;

  void visit(Visitor& v) override;

  Sequential<ResidualUnit> before;  // p units
  Sequential<ResidualUnit> trunk;   // t units
  SoftMask mask;
  Sequential<ResidualUnit> after;  // p units

 private:
  Variable merge(const Variable& logits, const Variable& t) const;

  Attention attention_;
  Merge merge_;
};

/// For looking at masks: while one lives, every attention module on this thread calls `callback` when mask
/// and trunk have become one.
class MergeObserver {
 public:
  /// A module, the logits of its mask branch, its trunk's output T, and (1 + M) * T or M * T: [N, H, W, C].
  using Callback = std::function<void(const AttentionModule& module, const Variable& logits,
                                      const Variable& trunk, const Variable& merged)>;
  explicit MergeObserver(Callback callback);
  ~MergeObserver();
  MergeObserver(const MergeObserver&) = delete;
  MergeObserver& operator=(const MergeObserver&) = delete;

 private:
  Callback callback_;
  const Callback* before_;  // of the one around it on this thread, or null
};

}  // namespace fovea
