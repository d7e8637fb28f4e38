#pragma once

#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/layers/module.h"

namespace fovea {

/// The floating buffers of a module, such as the running statistics of batch norms, and what they were before
/// a step, so that one that fails can be undone on the device. The buffers come to lie one after the other in
/// one tensor per dtype: few kernels, however many layers there are. They must stay there.
class RunningStatistics {
 public:
  explicit RunningStatistics(Module& module);

  /// To be called after the buffers were changed otherwise than by a step.
  void keep();
  /// count (i64 []) += how many numbers of the buffers are NaN or infinite.
  void count_non_finite(Tensor& count) const;
  /// After a step: keeps what the buffers are now, or goes back where non_finite (i64 []) is not 0.
  void settle(const Tensor& non_finite);
  /// Back to what they were before the step.
  void undo();
  /// Makes them averages over all ranks.
  void average(Ranks& ranks);
  /// What the buffers lie in.
  std::vector<Tensor> arenas() const;

 private:
  struct Arena {
    Tensor now, before;
  };
  std::vector<Arena> arenas_;
};

}  // namespace fovea
