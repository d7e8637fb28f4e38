#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fovea/core/captured_graph.h"
#include "fovea/kernels/conv_choices.h"
#include "fovea/training/batches.h"
#include "fovea/training/evaluator.h"
#include "fovea/training/training_settings.h"
#include "fovea/training/training_step.h"

namespace fovea {

/// One run of Classifier::train: the optimiser, where the run stands, and what it reports.
class TrainingRun {
 public:
  /// The model and the images must live until `close`.
  TrainingRun(Model& model, const ImageSet& data, const ImageNormalisation& normalisation,
              const TrainingSettings& settings);

  /// Goes on where a checkpoint of the same run was written. CheckpointError if it does not fit; then nothing
  /// has changed.
  void resume(const Checkpoint& checkpoint);

  /// What is left of the epoch, step after step; `finished` if all of it was done.
  StopReason train_epoch();
  /// Notes the results of the epoch that train_epoch finished, and begins the next.
  void finish_epoch(const std::optional<Evaluation>& evaluation);
  /// Evaluates the weights that the run gives: their averages, where it keeps some.
  Evaluation evaluate(Evaluator& evaluator, const EvaluationSettings& settings);
  /// Gives the profile to its hook, unless that has it already or no step was profiled.
  void report_profile();
  /// Lets go of the images and gives the model its f32 parameters; what a checkpoint needs stays.
  void close();
  bool is_closed() const { return is_closed_; }
  /// Takes the weights of a checkpoint and goes on with them; CheckpointError as load_weights.
  void load(const Checkpoint& checkpoint);

  bool has_epochs_left() const { return progress_.epoch < settings_.epochs; }
  TrainingResult result(StopReason reason) const;
  const TrainingProgress& progress() const { return progress_; }
  /// Median of the steps done in the epoch that is under way; 0: none, or not known.
  double step_seconds() const;
  const std::map<std::string, std::string>& description() const { return description_; }
  /// Parameters and buffers, as the optimiser keeps them or their averages; shares the storage.
  std::vector<NamedTensor> weights() const;
  /// What the run's convolutions are computed by; for a ConvChoicesScope.
  kernels::ConvChoices& convolutions() { return convolutions_; }
  /// The state of the optimiser and of the loss scale, and the weights under way where `weights` are
  /// averages; shares the storage.
  std::vector<NamedTensor> state() const;

 private:
  std::vector<NamedTensor> trained_weights() const;
  void swap_averages();
  void swap_averages_at_end();
  void take_weights(const Checkpoint& checkpoint);
  void begin_epoch();
  bool is_profile_pending() const;
  bool is_on_device() const { return !optimiser_.device().is_cpu(); }
  int64_t steps_at_once() const;
  bool launch(int64_t count);
  void collect(int64_t count, double begin);
  [[noreturn]] void fail(double loss);
  void note(const StepOutcome& outcome, double seconds);
  StepReport report(double loss) const;
  bool is_best(const std::optional<Evaluation>& evaluation) const;
  double median_seconds(size_t first_step) const;
  double images_per_second(size_t first_step) const;

  Model& model_;
  TrainingSettings settings_;
  std::map<std::string, std::string> description_;
  Optimiser optimiser_;
  TrainingProgress progress_;
  kernels::ConvChoices convolutions_;
  int64_t per_epoch_ = 0;             // batches of an epoch
  int64_t horizon_ = 0;               // steps over which the schedule is laid
  std::vector<double> rates_;         // learning rates of the epoch's steps
  double learning_rate_ = 0;          // of the last step
  std::vector<double> step_seconds_;  // of this process, and of the epoch that it goes on with
  size_t epoch_begin_ = 0;            // where this epoch begins among them
  int64_t steps_here_ = 0;            // of this process
  std::deque<double> recent_;         // seconds a step of the last launches
  double recent_seconds_ = 0;         // their median: a pause in one of them does not show
  Profile profile_;                   // until it is reported
  TrainingStep step_;
  std::optional<Batches> batches_;      // until close
  std::optional<CapturedGraph> graph_;  // a step, once it has run
  bool is_closed_ = false;
};

}  // namespace fovea
