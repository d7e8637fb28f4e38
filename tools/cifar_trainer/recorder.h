#pragma once

#include <chrono>

#include "fovea/training/classifier.h"
#include "metrics_log.h"
#include "progress.h"
#include "run_folder.h"
#include "run_times.h"
#include "settings.h"
#include "tensorboard_log.h"

namespace fovea::cli {

/// Writes down and shows how a run goes on. What it is given must live as long.
class Recorder {
 public:
  /// `before`: the times of the checkpoint that the run goes on from.
  /// `progress`: where it stands.
  Recorder(const Settings& settings, const RunFolder& folder, Classifier& classifier,
           const CheckpointTimes& before, const TrainingProgress& progress);

  TrainingHooks hooks();
  /// To be called after the run: saves it, and where --max-steps ended it inside an epoch notes that part.
  void finish(const TrainingResult& result);

  /// To be called with the summary, after the test.
  void finish(const RunSummary& summary, const ReportPictures& pictures) {
    tensorboard_.finish(summary, pictures);
  }

  Progress& progress() { return progress_; }
  /// The times until now; images_per_second is that of the result once there is one.
  CheckpointTimes times() const;

 private:
  void on_step(const StepReport& report);
  void on_epoch(const EpochReport& report);
  void append(const MetricsRow& row);
  void make_logs_durable();
  void save_last();

  const Settings& settings_;
  const RunFolder& folder_;
  Classifier& classifier_;
  Progress progress_;
  CheckpointTimes before_;
  RunTimes times_;
  MetricsLog log_;
  TensorboardLog tensorboard_;
  double images_per_second_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace fovea::cli
