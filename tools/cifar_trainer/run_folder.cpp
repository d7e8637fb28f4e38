#include "run_folder.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string_view>

#include "event_files.h"
#include "flat_json.h"
#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/training/checkpoint.h"
#include "metrics_log.h"

namespace fovea::cli {
namespace {

// What best.safetensors is called once it is not that of the run that goes on.
constexpr const char* kBestBefore = "best-before-resume.safetensors";
constexpr std::array kFiles = {"settings.toml",    "metrics.csv",   "summary.json",    "last.safetensors",
                               "best.safetensors", "profile.md",    "trace.json",      "times.json",
                               kBestBefore,        "metrics.jsonl", "predictions.csv", "report.html"};
constexpr const char* kHeader =
    "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,"
    "images_per_second,seconds\n";
// Of runs before there was a validation set, which were evaluated on the test set after each epoch.
constexpr std::string_view kOldHeader =
    "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds";

constexpr auto kCommas = std::count(std::string_view(kHeader).begin(), std::string_view(kHeader).end(), ',');
// A table has some hundred bytes an epoch.
constexpr uint64_t kMaxTableBytes = uint64_t{64} << 20;

// Whole or not at all, and durable, whatever stands beside it: see AtomicFile.
void write_text(const std::string& path, const std::string& text) {
  write_whole(path, text, "run", throw_as<Error>);
}

// Whether a file is the checkpoint of the end of epoch `best_epoch`, the best until then. A damaged one is
// not.
bool is_best_of(const std::string& path, int64_t best_epoch) {
  if (best_epoch == 0 || !std::filesystem::exists(path)) return false;
  try {
    const TrainingProgress progress = read_checkpoint(path).progress;
    return progress.best_epoch == best_epoch && progress.epoch == best_epoch && progress.batch == 0;
  } catch (const CheckpointError&) {
    return false;
  }
}

// What metrics.csv has; the heading alone where there is none.
std::string read_table(const std::string& path) {
  return std::filesystem::exists(path) ? read_run_file(path, kMaxTableBytes) : kHeader;
}

}  // namespace

std::string read_run_file(const std::string& path, uint64_t max_bytes) {
  const ReadableFile file(path, "run", throw_as<Error>);
  check(file.size() <= max_bytes, "run: ", path, " has ", file.size(), " bytes, wanted at most ", max_bytes,
        "; it is no file of a run, move it away");
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
}

bool RunFolder::holds_run() const {
  for (const char* name : kFiles) {
    if (std::filesystem::exists(path_ / name)) return true;
  }
  return false;
}

bool RunFolder::is_finished(const TrainingProgress& progress) const {
  const std::string path = summary();
  if (!std::filesystem::exists(path)) return false;
  const FlatJson found = read_flat_json(read_run_file(path, kMaxTableBytes)).value_or(FlatJson{});
  return value_of(found, "finished") == "true" &&
         number_of(found, "steps") == static_cast<double>(progress.step) &&
         number_of(found, "epochs") == static_cast<double>(progress.epoch);
}

std::optional<double> RunFolder::test_accuracy() const {
  if (!std::filesystem::exists(last()) || !is_finished(read_checkpoint(last()).progress)) return {};
  const std::optional<FlatJson> found = read_flat_json(read_run_file(summary(), kMaxTableBytes));
  return found ? number_of(*found, "test_accuracy") : std::nullopt;
}

std::string RunFolder::chosen(int64_t best_epoch) const {
  return is_best_of(best(), best_epoch) ? best() : last();
}

void RunFolder::check_free(bool overwrite) const {
  check<UsageError>(
      overwrite || !holds_run(), "run: ", path_.string(),
      " already holds a run; go on with it (--resume auto), choose another folder (--out), or delete it "
      "(--overwrite)");
}

void RunFolder::start() const {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, "run: cannot make the folder ", path_.string(), ": ", error.message());
  for (const char* name : kFiles) std::filesystem::remove(path_ / name);
  remove_event_files(path());
  write_text(metrics(), kHeader);
}

void RunFolder::carry_over(const std::string& checkpoint, int64_t best_epoch) const {
  const RunFolder source(std::filesystem::path(checkpoint).parent_path().string());
  const auto copy = [this](const std::string& from, const char* name) {
    if (!std::filesystem::exists(from)) return;
    write_text(file(name), read_run_file(from, std::numeric_limits<uint64_t>::max()));
  };
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, "run: cannot make the folder ", path_.string(), ": ", error.message());
  copy(source.metrics(), "metrics.csv");
  copy(source.metrics_log(), "metrics.jsonl");
  for (const std::string& name : event_files(source.path())) copy(source.file(name.c_str()), name.c_str());
  copy(source.times(), "times.json");
  if (is_best_of(source.best(), best_epoch)) copy(source.best(), "best.safetensors");
  copy(checkpoint, "last.safetensors");  // comes last: what it is to go on with is there
}

std::string RunFolder::set_best_aside(int64_t best_epoch) const {
  if (!std::filesystem::exists(best()) || is_best_of(best(), best_epoch)) return "";
  std::filesystem::rename(best(), file(kBestBefore));
  return file(kBestBefore);
}

double RunFolder::resume(int64_t epochs) const {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, "run: cannot make the folder ", path_.string(), ": ", error.message());
  std::istringstream file_in(read_table(metrics()));
  file_in.exceptions(std::ios_base::badbit);  // without memory it would end early
  std::string kept = kHeader, line;
  double seconds = 0;
  std::getline(file_in, line);  // the header
  if (line == kOldHeader) kept = line + "\n";
  while (std::getline(file_in, line)) {
    const int64_t epoch = std::atoll(line.c_str());
    const bool is_whole = std::count(line.begin(), line.end(), ',') == kCommas && !file_in.eof();
    if (epoch < 1 || epoch > epochs || !is_whole) continue;
    kept += line + "\n";
    seconds = std::atof(line.substr(line.rfind(',') + 1).c_str());
  }
  write_text(metrics(), kept);
  return seconds;
}

void RunFolder::resume_log(const TrainingProgress& progress) const {
  if (!std::filesystem::exists(metrics_log())) return;
  write_text(metrics_log(), MetricsLog::up_to(read_run_file(metrics_log(), kMaxLogBytes), progress));
}

void RunFolder::write_settings(const Settings& settings) const {
  write_text(this->settings(),
             fmt::format("# Settings of a run of cifar_trainer {}; give them back with --config.\n\n{}",
                         FOVEA_VERSION, to_toml(settings, Selection::all)));
}

void RunFolder::append(const MetricsRow& row) const {
  const std::string validation =
      row.validation ? fmt::format("{:.6g},{:.6g}", row.validation->loss, row.validation->accuracy) : ",";
  const std::string speed = row.images_per_second > 0 ? fmt::format("{:.1f}", row.images_per_second) : "";
  write_text(metrics(),
             read_table(metrics()) + fmt::format("{},{},{:.6g},{:.6g},{:.6g},{},{},{:.1f}\n", row.epoch,
                                                 row.step, row.learning_rate, row.train_loss,
                                                 row.train_accuracy, validation, speed, row.seconds));
}

void RunFolder::write_summary(const std::string& json) const {
  write_text(summary(), json + "\n");
}

void RunFolder::write_predictions(const std::string& csv) const {
  write_text(predictions(), csv);
}

void RunFolder::write_report(const std::string& html) const {
  write_text(report(), html);
}

void RunFolder::write_profile(const std::string& tables, const std::string& trace) const {
  write_text(file("profile.md"), tables);
  write_text(file("trace.json"), trace);
}

}  // namespace fovea::cli
