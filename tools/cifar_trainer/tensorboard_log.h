#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fovea/training/checkpoint.h"
#include "fovea/training/training_settings.h"
#include "report_page.h"
#include "reports.h"
#include "run_folder.h"
#include "settings.h"

namespace fovea::cli {

/// UsageError, which says how to get them, where it cannot and the settings want them.
void check_tensorboard(const Settings& settings);

/// A run for TensorBoard: an event file in its folder, one more each time it is resumed. Scalars: loss,
/// accuracy, learning_rate and images_per_second of steps, loss and accuracy of epochs and of the test; the
/// settings as hyperparameters; at the end the masks. Nothing is written before there is something to tell.
class TensorboardLog {
 public:
  /// The run begins, or goes on, at `progress`: what event files there have of later steps is taken out of
  /// them before the first new event, and torn ends with it.
  TensorboardLog(const std::string& folder, const Settings& settings, const TrainingProgress& progress);
  ~TensorboardLog();
  TensorboardLog(const TensorboardLog&) = delete;
  TensorboardLog& operator=(const TensorboardLog&) = delete;

  void step(const StepReport& report);
  void epoch(const MetricsRow& row);
  void finish(const RunSummary& summary, const ReportPictures& pictures);
  /// fdatasync, if there is anything new.
  void make_durable();

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;  // none: not wanted
};

}  // namespace fovea::cli
