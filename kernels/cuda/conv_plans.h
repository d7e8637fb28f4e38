#pragma once

#include <optional>

#include "fovea/kernels/cuda/conv_cache.h"
#include "fovea/kernels/cuda/conv_engines.h"

namespace fovea::kernels::cuda {

/// Memory that a plan needs while it runs. It may be handed to the same plan again, and spares it the
/// allocations then; what was recorded with it needs it as long as it is replayed.
struct ConvScratch {
  Tensor x, weight, y, workspace;
};

/// A convolution made ready for a choice: an engine of cuDNN, or the reference.
class ConvPlan {
 public:
  /// DeviceError if cuDNN cannot build the engine.
  ConvPlan(const ConvProblem& problem, const ConvChoice& choice, const cudnn::Target& target);

  /// Computes the result on the current stream. Tensors whose channels or whose alignment the engine cannot
  /// take go through scratch memory.
  void run(ConvTensors& tensors, ConvScratch& scratch) const;

 private:
  ConvProblem problem_, computed_;  // computed_: what the engine computes, padded or not
  std::optional<cudnn::EnginePlan> engine_;
};

/// The plan for a convolution on the current device. The first time in a process its choice is read from the
/// cache on disk, or made by a trial of cuDNN's proposals (with FOVEA_AUTOTUNE=0 the first that can be built
/// is taken, untried). DeviceError if that would be while a graph is recorded.
const ConvPlan& plan_for(const ConvProblem& problem);

}  // namespace fovea::kernels::cuda
