#pragma once

#include <memory>
#include <string>

#include "fovea/layers/module.h"
#include "fovea/training/optimiser.h"

namespace fovea::bench {

/// One named model with one batch of random images and labels: what is timed as a whole.
class StepTimer {
 public:
  /// With `training` there is an optimiser: SGD, Nesterov momentum 0.9, weight decay 5e-4.
  StepTimer(const std::string& model, int64_t batch, bool training);

  /// Forward, cross-entropy, backward, optimiser step; or forward alone. Returns the loss, or a logit.
  double run();

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<Optimiser> optimiser_;  // none for inference
  Tensor images_, labels_;
};

}  // namespace fovea::bench
