#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fovea/training/checkpoint.h"

namespace fovea::cli {

/// The times that belong to a checkpoint, which has none itself: the same run gives the same checkpoints.
struct CheckpointTimes {
  int64_t step = 0, epoch = 0;   // done at the checkpoint
  double seconds = 0;            // since the run began, pauses between resumed parts left out
  double step_seconds = 0;       // Checkpoint::step_seconds
  double images_per_second = 0;  // of the last part of the run that trained
};

/// times.json of a run: the times of its last two saves, for a run may be cut off between writing them and
/// the checkpoint. One that is missing or damaged costs nothing but times.
class RunTimes {
 public:
  explicit RunTimes(const std::string& path);

  /// Those of the checkpoint where a run stands so, if they are known.
  std::optional<CheckpointTimes> at(const TrainingProgress& progress) const;
  /// To be called before the checkpoint is saved.
  void write(const CheckpointTimes& times);

 private:
  std::string path_;
  std::vector<CheckpointTimes> saves_;
};

}  // namespace fovea::cli
