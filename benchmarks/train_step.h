#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fovea/core/captured_graph.h"
#include "fovea/core/profile_report.h"
#include "fovea/core/safetensors.h"
#include "fovea/training/precision.h"
#include "fovea/training/training_step.h"

namespace fovea::bench {

/// One named model with one batch of random images and labels: what is timed as a whole.
class StepTimer {
 public:
  /// With `training` there is an optimiser: SGD, Nesterov momentum 0.9, weight decay 5e-4. On a CUDA device
  /// the step is captured at the second run, and replayed from then on.
  StepTimer(const std::string& model, int64_t batch, bool training, Device device, Precision precision);

  /// Forward, cross-entropy, backward, optimiser step; or forward alone. Does not wait for a CUDA device.
  void run();
  /// What another library needs to do the same work and to show that it does: "model.PATH" for every
  /// parameter and buffer, "images" [B, H, W, 3], "labels" [B], and what comes out, "logits" [B, classes] or
  /// "losses" of the first steps. Makes those runs, so it wants a timer that has not run.
  SafetensorsFile hand_over();
  /// Seconds of one of `count` runs, from an idle device to an idle device, by the clock.
  double seconds_of(int64_t count);
  /// One run, profiled: eager, on a CUDA device, too.
  void profile(Profile& profile);
  /// The loss of the last run, or a logit. Waits.
  double result() const;

 private:
  void run_eagerly();
  void begin_run();

  Device device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Optimiser> optimiser_;  // none for inference
  std::optional<TrainingStep> step_;
  std::vector<double> rates_;
  int64_t position_ = 0;  // among the rates
  Tensor images_, labels_, logits_;
  std::optional<CapturedGraph> graph_;
  bool has_run_ = false;
};

}  // namespace fovea::bench
