#include "run_folder.h"

#include <fmt/format.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/training/checkpoint.h"

namespace fovea::cli {
namespace {

// What best.safetensors is called once it is not that of the run that goes on.
constexpr const char* kBestBefore = "best-before-resume.safetensors";
constexpr std::array kFiles = {"settings.toml",    "metrics.csv",      "summary.json",
                               "last.safetensors", "best.safetensors", "profile.md",
                               "trace.json",       "times.json",       kBestBefore};
constexpr const char* kHeader =
    "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds\n";

// Into a file beside it first, so that a reader never sees half of it.
void write_text(const std::string& path, const std::string& text) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary);
  file << text;
  file.close();
  const bool is_written = file.good() && std::rename(part.c_str(), path.c_str()) == 0;
  check(is_written, "run: cannot write ", path, ": ", std::strerror(errno), "; is the disk full?");
}

std::string read_whole(const std::string& path) {
  const ReadableFile file(path);
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
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

}  // namespace

bool RunFolder::holds_run() const {
  for (const char* name : kFiles) {
    if (std::filesystem::exists(path_ / name)) return true;
  }
  return false;
}

void RunFolder::check_free(bool overwrite) const {
  check<UsageError>(
      overwrite || !holds_run(), "run: ", path_.string(),
      " already holds a run; go on with it (--resume), choose another folder (--out), or delete it "
      "(--overwrite)");
}

void RunFolder::start() const {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, "run: cannot make the folder ", path_.string(), ": ", error.message());
  for (const char* name : kFiles) std::filesystem::remove(path_ / name);
  write_text(file("metrics.csv"), kHeader);
}

void RunFolder::carry_over(const std::string& checkpoint, int64_t best_epoch) const {
  const RunFolder source(std::filesystem::path(checkpoint).parent_path().string());
  const auto copy = [this](const std::string& from, const char* name) {
    if (!std::filesystem::exists(from)) return;
    write_whole(file(name), read_whole(from));
  };
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  check(!error, "run: cannot make the folder ", path_.string(), ": ", error.message());
  copy(source.file("metrics.csv"), "metrics.csv");
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
  std::ifstream file_in(file("metrics.csv"));
  std::string kept = kHeader, line;
  double seconds = 0;
  std::getline(file_in, line);  // the header
  while (std::getline(file_in, line)) {
    const int64_t epoch = std::atoll(line.c_str());
    if (epoch < 1 || epoch > epochs) continue;
    kept += line + "\n";
    seconds = std::atof(line.substr(line.rfind(',') + 1).c_str());
  }
  write_text(file("metrics.csv"), kept);
  return seconds;
}

void RunFolder::write_settings(const Settings& settings) const {
  write_text(this->settings(),
             fmt::format("# Settings of a run of cifar_trainer {}; give them back with --config.\n\n{}",
                         FOVEA_VERSION, to_toml(settings, Selection::all)));
}

void RunFolder::append(const MetricsRow& row) const {
  const std::string test = row.test ? fmt::format("{:.6g},{:.6g}", row.test->loss, row.test->accuracy) : ",";
  std::ofstream table(file("metrics.csv"), std::ios::app);
  const std::string speed = row.images_per_second > 0 ? fmt::format("{:.1f}", row.images_per_second) : "";
  table << fmt::format("{},{},{:.6g},{:.6g},{:.6g},{},{},{:.1f}\n", row.epoch, row.step, row.learning_rate,
                       row.train_loss, row.train_accuracy, test, speed, row.seconds);
  table.close();
  check(table.good(), "run: cannot write ", file("metrics.csv"), ": ", std::strerror(errno));
}

void RunFolder::write_summary(const std::string& json) const {
  write_text(file("summary.json"), json + "\n");
}

void RunFolder::write_profile(const std::string& tables, const std::string& trace) const {
  write_whole(file("profile.md"), tables);
  write_whole(file("trace.json"), trace);
}

}  // namespace fovea::cli
