#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "append_file.h"
#include "fovea/training/checkpoint.h"
#include "fovea/training/metrics.h"
#include "fovea/training/training_settings.h"

namespace fovea::cli {

struct MetricsRow;

/// metrics.jsonl of a run: an object a line, {"event": "step", ...} every so many steps and
/// {"event": "epoch", ...} after each epoch. Lines are appended, and made durable before a checkpoint is
/// saved: one that is read back has all lines up to it.
class MetricsLog {
 public:
  /// For a file that goes on, or begins. Error, here and below, where it cannot be written.
  explicit MetricsLog(const std::string& path) : file_(path) {}

  /// loss: of the batch; epoch_loss and epoch_accuracy: of the epoch's batches so far.
  void step(const StepReport& report);
  void epoch(const MetricsRow& row);
  /// fdatasync, if there is anything new.
  void make_durable() { file_.make_durable(); }

  /// What a log has up to a checkpoint: lines of later steps and epochs are left out, as a run that goes on
  /// from there writes them again, and so is what a crash has torn.
  static std::string up_to(const std::string& text, const TrainingProgress& progress);

 private:
  AppendFile file_;
};

}  // namespace fovea::cli
