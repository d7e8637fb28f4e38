#include "run_times.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "fovea/core/atomic_file.h"

namespace fovea::cli {
namespace {

using Json = nlohmann::ordered_json;

bool is_sound(const CheckpointTimes& times) {
  const auto is_time = [](double number) { return std::isfinite(number) && number >= 0; };
  return times.step >= 0 && times.epoch >= 0 && is_time(times.seconds) && is_time(times.step_seconds) &&
         is_time(times.images_per_second);
}

}  // namespace

RunTimes::RunTimes(const std::string& path) : path_(path) {
  std::error_code error;
  constexpr uint64_t kMost = 4096;
  if (!std::filesystem::exists(path, error)) return;
  std::string text;
  try {
    const ReadableFile file(path);
    if (file.size() > kMost) return;
    text.resize(static_cast<size_t>(file.size()));
    file.read(0, text.data(), text.size());
  } catch (const CheckpointError&) {
    return;  // the times are then those from here on
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("saves") || !json["saves"].is_array()) return;
  for (const Json& entry : json["saves"]) {
    const auto number = [&](const char* key) {
      return entry.is_object() && entry.contains(key) && entry[key].is_number() ? entry[key].get<double>()
                                                                                : -1;
    };
    const auto count = [&](const char* key) {
      return static_cast<int64_t>(std::clamp(number(key), -1.0, 1e15));
    };
    const CheckpointTimes times{.step = count("step"),
                                .epoch = count("epoch"),
                                .seconds = number("seconds"),
                                .step_seconds = number("step_seconds"),
                                .images_per_second = number("images_per_second")};
    if (is_sound(times)) saves_.push_back(times);
  }
}

std::optional<CheckpointTimes> RunTimes::at(const TrainingProgress& progress) const {
  const auto found = std::find_if(saves_.rbegin(), saves_.rend(), [&](const CheckpointTimes& times) {
    return times.step == progress.step && times.epoch == progress.epoch;
  });
  return found == saves_.rend() ? std::nullopt : std::optional(*found);
}

void RunTimes::write(const CheckpointTimes& times) {
  saves_.push_back(times);
  if (saves_.size() > 2) saves_.erase(saves_.begin(), saves_.end() - 2);
  Json json;
  json["saves"] = Json::array();
  for (const CheckpointTimes& save : saves_) {
    json["saves"].push_back({{"step", save.step},
                             {"epoch", save.epoch},
                             {"seconds", save.seconds},
                             {"step_seconds", save.step_seconds},
                             {"images_per_second", save.images_per_second}});
  }
  write_whole(path_, json.dump(/*indent=*/1) + "\n");
}

}  // namespace fovea::cli
