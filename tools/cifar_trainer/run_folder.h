#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "fovea/training/checkpoint.h"
#include "fovea/training/metrics.h"
#include "settings.h"

namespace fovea::cli {

/// A row of metrics.csv: an epoch, or the part of the last one that --max-steps left.
struct MetricsRow {
  int64_t epoch = 0, step = 0;
  double learning_rate = 0;
  double train_loss = 0, train_accuracy = 0;
  std::optional<Evaluation> validation{};
  double images_per_second = 0;  // 0: not measured
  double seconds = 0;            // since the run began, pauses between resumed parts left out
};

/// The bytes of a file of a run. Error where it cannot be read, or has more than `max_bytes`.
std::string read_run_file(const std::string& path, uint64_t max_bytes);
/// The most bytes of a log, which has some hundred every so many steps.
inline constexpr uint64_t kMaxLogBytes = uint64_t{1} << 30;

/// The folder of a training run: settings.toml, metrics.csv, metrics.jsonl, summary.json, times.json,
/// last.safetensors, best.safetensors, predictions.csv, report.html; with a profile also profile.md,
/// trace.json, and with --tensorboard event files.
class RunFolder {
 public:
  explicit RunFolder(const std::string& path) : path_(path) {}

  std::string path() const { return path_.string(); }
  std::string last() const { return file("last.safetensors"); }
  std::string best() const { return file("best.safetensors"); }
  std::string settings() const { return file("settings.toml"); }
  std::string times() const { return file("times.json"); }
  std::string metrics() const { return file("metrics.csv"); }
  std::string metrics_log() const { return file("metrics.jsonl"); }
  std::string summary() const { return file("summary.json"); }
  std::string predictions() const { return file("predictions.csv"); }
  std::string report() const { return file("report.html"); }
  /// Whether a run has been here.
  bool holds_run() const;
  /// Whether its summary is that of a run that came to its end, the test included, where `progress` says.
  bool is_finished(const TrainingProgress& progress) const;
  /// The test accuracy, from 0 to 1, in the summary of what last.safetensors is the end of; none before that.
  std::optional<double> test_accuracy() const;
  /// The checkpoint that is to be used: best, if that is of epoch `best_epoch`, else last.
  std::string chosen(int64_t best_epoch) const;
  /// UsageError if it holds a run and may not be overwritten.
  void check_free(bool overwrite) const;
  /// Makes the folder with an empty table; deletes the run that it holds.
  void start() const;
  /// Takes over what a run in another folder has: table, best and last checkpoint. That is for a run that
  /// goes on here from `checkpoint`, a file there; a best checkpoint of another epoch than it knows stays
  /// there.
  void carry_over(const std::string& checkpoint, int64_t best_epoch) const;
  /// Renames a best checkpoint that is not of epoch `best_epoch`, the best that a run which goes on here
  /// knows of: of a later time, for example. Returns its new path; "": there was none.
  std::string set_best_aside(int64_t best_epoch) const;
  /// Drops the rows of epochs after `epochs`, which will be trained again; returns the seconds of the last
  /// row.
  double resume(int64_t epochs) const;
  /// The same for metrics.jsonl: see MetricsLog::up_to.
  void resume_log(const TrainingProgress& progress) const;

  void write_settings(const Settings& settings) const;
  void append(const MetricsRow& row) const;
  void write_summary(const std::string& json) const;
  void write_predictions(const std::string& csv) const;
  void write_report(const std::string& html) const;
  /// profile.md and trace.json
  void write_profile(const std::string& tables, const std::string& trace) const;

 private:
  std::string file(const char* name) const { return (path_ / name).string(); }

  std::filesystem::path path_;
};

}  // namespace fovea::cli
