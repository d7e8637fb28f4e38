#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flat_json.h"
#include "settings.h"
#include "test_predictions.h"

namespace fovea::cli {

/// A row of metrics.csv: its texts, by the names of the columns.
using MetricsTexts = FlatJson;

/// A point of the curves within an epoch, from metrics.jsonl.
struct StepPoint {
  double step = 0;
  double loss = 0, accuracy = 0;  // over the steps since the point before, or since the epoch's begin
  double learning_rate = 0;
  double images_per_second = 0;  // NaN: not measured
};

/// What the folder of a run says about it, as far as it is there.
struct RunRecord {
  std::string folder, name;  // name: the last part of the path
  Settings settings;
  FlatJson summary;  // summary.json; empty before the run has come to an end or was stopped
  std::vector<MetricsTexts> epochs;
  std::vector<StepPoint> steps;
  std::vector<std::string> class_names;        // empty without a checkpoint
  std::optional<TestPredictions> predictions;  // of the network that the summary is about
  std::string held_out = "validation";         // "test" for a run from before there was a validation set

  /// How many steps an epoch has; 1 where nothing says so.
  double steps_per_epoch() const;
};

/// Reads the folder of a run. Error where there is none, or where a file of it says something else than such
/// a file does; times, curves and predictions that are missing or damaged are left out. `summary`: what
/// summary.json will have, where it is not written yet.
RunRecord read_run(const std::string& folder, const std::optional<std::string>& summary = {});

/// The command that repeats the run in another folder: the flags that differ from their defaults, as a shell
/// takes them.
std::string repeating_command(const Settings& settings, const std::string& out);

}  // namespace fovea::cli
