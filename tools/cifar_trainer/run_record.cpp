#include "run_record.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>
#include <utility>

#include "fovea/core/check.h"
#include "run_folder.h"
#include "setup.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// "" for a file that is not there.
std::string read_text(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? read_run_file(path, kMaxLogBytes) : "";
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : line) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The rows that are whole.
std::vector<MetricsTexts> read_table(const std::string& text) {
  const std::vector<std::string> lines = split(text, '\n');
  const std::vector<std::string> columns = split(lines[0], ',');
  std::vector<MetricsTexts> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = split(lines[i], ',');
    if (cells.size() != columns.size()) continue;
    MetricsTexts row;
    for (size_t c = 0; c < cells.size(); ++c) row.emplace_back(columns[c], cells[c]);
    if (number_of(row, "epoch") && number_of(row, "step")) rows.push_back(std::move(row));
  }
  return rows;
}

/// Means over the steps between two lines, from the means of the epoch until then.
std::vector<StepPoint> read_steps(const std::string& text) {
  std::vector<StepPoint> points;
  double epoch = 0, batches = 0, losses = 0, correct = 0;
  for (const std::string& line : split(text, '\n')) {
    const std::optional<FlatJson> object = read_flat_json(line);
    if (!object || value_of(*object, "event") != "step") continue;
    const auto number = [&](const char* key) { return number_of(*object, key); };
    const auto step = number("step"), of_epoch = number("epoch"), batch = number("batch"),
               loss = number("epoch_loss"), accuracy = number("epoch_accuracy"),
               rate = number("learning_rate");
    if (!step || !of_epoch || !batch || !loss || !accuracy || !rate) continue;
    if (epoch != *of_epoch || *batch <= batches) batches = losses = correct = 0;
    const double count = *batch - batches;
    points.push_back({.step = *step,
                      .loss = (*loss * *batch - losses) / count,
                      .accuracy = (*accuracy * *batch - correct) / count,
                      .learning_rate = *rate,
                      .images_per_second = number("images_per_second").value_or(kUnknown)});
    epoch = *of_epoch;
    batches = *batch;
    losses = *loss * *batch;
    correct = *accuracy * *batch;
  }
  return points;
}

std::vector<std::string> read_class_names(const RunFolder& folder) {
  for (const std::string& path : {folder.last(), folder.best()}) {
    if (fs::exists(path)) return class_names_of(read_checkpoint(path));
  }
  return {};
}

/// As a shell takes it.
std::string shell_word(const std::string& text) {
  constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,+=@%-";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

}  // namespace

double RunRecord::steps_per_epoch() const {
  const auto images = number_of(summary, "train_images"), batch = number_of(summary, "batch_size");
  if (images && batch && *batch > 0 && *images >= *batch)
    return static_cast<double>(static_cast<int64_t>(*images / *batch));
  if (epochs.empty()) return 1;
  const double step = *number_of(epochs[0], "step"), epoch = *number_of(epochs[0], "epoch");
  return step > 0 && epoch > 0 ? step / epoch : 1;
}

RunRecord read_run(const std::string& folder, const std::optional<std::string>& summary) {
  const RunFolder files(folder);
  RunRecord run;
  run.folder = folder;
  const fs::path path = fs::path(folder).lexically_normal();
  run.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  if (run.name.empty() || run.name == "." || run.name == "..") {
    std::error_code ignored;
    run.name = fs::canonical(folder, ignored).filename().string();
  }
  std::error_code ignored;
  check<UsageError>(
      fs::exists(files.metrics(), ignored), "report: ", folder,
      " holds no run, for there is no metrics.csv in it; wanted a folder that cifar_trainer train "
      "wrote");
  const std::string table = read_text(files.metrics());
  run.epochs = read_table(table);
  if (table.find(",test_accuracy,") < table.find('\n')) run.held_out = "test";
  if (const std::string text = read_text(files.settings()); !text.empty())
    apply_toml(run.settings, text, files.settings());
  run.settings.out = folder;
  if (const std::string text = summary ? *summary : read_text(files.summary()); !text.empty()) {
    const std::optional<FlatJson> found = read_flat_json(text);
    check(found.has_value(), "report: ", files.summary(),
          " is no summary of a run; delete it, and train --resume writes it anew");
    run.summary = *found;
  }
  run.steps = read_steps(read_text(files.metrics_log()));
  run.class_names = read_class_names(files);
  run.predictions = parse_predictions(read_text(files.predictions()), std::ssize(run.class_names));
  const std::optional<double> tested = number_of(run.summary, "test_accuracy");
  const bool belongs = run.predictions && tested && std::abs(run.predictions->accuracy() - *tested) < 1e-9;
  if (!belongs) run.predictions.reset();
  return run;
}

std::string repeating_command(const Settings& settings, const std::string& out) {
  Settings defaults, copy = settings;
  const std::vector<Setting> standard = list_settings(defaults);
  std::string command = "cifar_trainer train";
  for (const Setting& setting : list_settings(copy)) {
    const auto value = setting.field.value();
    if (setting.key == "out" || !value ||
        value == find_setting(standard, setting.key, "report").field.value())
      continue;
    if (const bool* is_on = std::get_if<bool>(&*value)) {
      command += (*is_on ? " --" : " --no-") + setting.key;
    } else {
      command += " --" + setting.key + " " + shell_word(field_text(*value));
    }
  }
  return command + " --out " + shell_word(out);
}

}  // namespace fovea::cli
