#pragma once

#include <functional>

#include "fovea/layers/soft_mask.h"

#pragma GCC visibility push(default)
namespace fovea {

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
#pragma GCC visibility pop
