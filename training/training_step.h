#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/data/augment.h"
#include "fovea/layers/module.h"
#include "fovea/training/averaged_weights.h"
#include "fovea/training/optimiser.h"
#include "fovea/training/running_statistics.h"
#include "fovea/training/training_settings.h"

namespace fovea {

/// What came of one training step.
struct StepOutcome {
  double loss;
  int64_t correct;  // images of the epoch classified correctly up to this step, each before its update
  bool is_finite;   // loss, gradients and running statistics; no weight or statistic has changed otherwise
};

/// One step of training: forward pass, backward pass, update. All that changes from step to step lies in
/// tensors on the model's device, so that a step can be captured and replayed; `outcomes` says afterwards
/// what came of it. A step whose loss, gradients or running statistics are not finite changes no weight and
/// no running statistic, nor does any step after it. But for f16, where gradients alone are not finite, the
/// loss scale is halved and the next step goes on.
class TrainingStep {
 public:
  TrainingStep(Model& model, Optimiser& optimiser, const TrainingSettings& settings, int64_t steps_per_epoch);

  /// The learning rates of an epoch's steps, the step that is next, and how many images were classified
  /// correctly in those before it.
  void begin_epoch(std::span<const double> rates, int64_t next, int64_t correct);
  /// The images of activation_dtype(precision).
  void run(const Batch& batch);
  /// The passes of a step again, to see where numbers arise that are not finite.
  void repeat(const Batch& batch, bool with_gradients);

  /// What came of the steps first, ..., first + count - 1 of the epoch. Waits for the device.
  std::vector<StepOutcome> outcomes(int64_t first, int64_t count) const;
  /// Which step of the epoch is next: i64 []
  const Tensor& position() const { return position_; }

  /// To be called where others may have changed running statistics: a step that fails goes back to those of
  /// now.
  void keep_statistics() { statistics_.keep(); }
  /// Undoes what a `run` has changed that was interrupted in its forward or backward pass; no other may
  /// follow.
  void drop();
  /// Undoes what forward passes since the last step have done to running statistics.
  void undo_statistics() { statistics_.undo(); }

  /// The averages of the weights and of the running statistics; null if the run has none.
  AveragedWeights* averages() { return averages_ ? &*averages_ : nullptr; }
  const AveragedWeights* averages() const { return averages_ ? &*averages_ : nullptr; }

  /// What a checkpoint must keep beside the optimiser's state; shares the storage.
  std::vector<NamedTensor> state() const;
  /// To be called after the tensors of `state` have been changed.
  void renew();

 private:
  Variable loss_of(const Variable& logits, const Batch& batch) const;
  Tensor pass(const Batch& batch, const Tensor& gradient_scale);
  Tensor pass_in_parts(const Batch& batch);
  template <class Use>
  void for_each_part(const Batch& batch, const Use& use) const;
  int64_t shares() const { return ranks_ == nullptr ? 1 : ranks_->size(); }

  Model& model_;
  Optimiser& optimiser_;
  RunningStatistics statistics_;
  std::optional<AveragedWeights> averages_;
  double label_smoothing_;
  int64_t accumulation_;
  Ranks* ranks_;  // null: this process has all of a batch
  bool joins_statistics_;
  bool has_loss_scale_;
  Tensor rates_, rate_;                // [steps of an epoch], []
  Tensor position_;                    // i64 []
  Tensor losses_;                      // [steps of an epoch]
  Tensor failures_, corrects_;         // i64, as losses; failures: numbers that were not finite
  Tensor correct_, non_finite_;        // i64 []
  Tensor non_finite_losses_;           // i64 []: of all steps, and of running statistics
  Tensor part_scale_;                  // []: of the gradient of a part of a batch
  Tensor loss_scale_, inverse_scale_;  // []: 1 unless the precision is f16
  Tensor good_steps_;                  // i64 []: since the scale changed
};

}  // namespace fovea
