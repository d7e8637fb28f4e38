#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fovea/data/loader.h"
#include "fovea/training/classifier.h"

namespace fovea {

/// One run of Classifier::train: the optimiser, where the run stands, and what it reports.
class TrainingRun {
 public:
  /// For a training set of `images` images.
  TrainingRun(Model& model, int64_t images, const TrainingSettings& settings);

  /// Goes on where a checkpoint of the same run was written. CheckpointError if it does not fit; then nothing
  /// has changed.
  void resume(const Checkpoint& checkpoint);

  /// Makes the next batch of the run the loader's next.
  void seek(Loader& loader) const;
  /// What is left of the epoch, batch after batch; `finished` if all of it was done.
  StopReason train_epoch(Loader& loader);
  /// Notes the results of the epoch that train_epoch finished, and begins the next.
  void finish_epoch(const std::optional<Evaluation>& validation);

  bool has_epochs_left() const { return progress_.epoch < settings_.epochs; }
  int64_t batch_size() const { return progress_.batch_size; }
  TrainingResult result(StopReason reason) const;
  const TrainingProgress& progress() const { return progress_; }
  const Optimiser& optimiser() const { return optimiser_; }
  const std::map<std::string, std::string>& description() const { return description_; }

 private:
  double train_batch(const Batch& batch);
  [[noreturn]] void fail(const std::string& what, const std::string& cause) const;
  void report_step(double loss, double seconds);
  bool is_best(const std::optional<Evaluation>& validation) const;
  double images_per_second(size_t first_step) const;

  Model& model_;
  TrainingSettings settings_;
  std::map<std::string, std::string> description_;
  Optimiser optimiser_;
  TrainingProgress progress_;
  int64_t batches_ = 0;               // in an epoch
  int64_t horizon_ = 0;               // steps over which the schedule is laid
  double learning_rate_ = 0;          // of the last step
  std::vector<double> step_seconds_;  // of this process
  size_t epoch_begin_ = 0;            // where this epoch begins among them
  double smoothed_seconds_ = 0;
};

}  // namespace fovea
