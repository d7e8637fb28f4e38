#include "run_times.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "fovea/core/atomic_file.h"
#include "fovea/core/json_writer.h"

namespace fovea::cli {
namespace {

bool is_sound(const CheckpointTimes& times) {
  const auto is_time = [](double number) { return std::isfinite(number) && number >= 0; };
  return times.step >= 0 && times.epoch >= 0 && is_time(times.seconds) && is_time(times.step_seconds) &&
         is_time(times.images_per_second);
}

/// Calls visit(key, number) for all numbers of an entry; `times` may be const.
template <class Times, class Visit>
void visit_numbers(Times& times, Visit&& visit) {
  visit("step", times.step);
  visit("epoch", times.epoch);
  visit("seconds", times.seconds);
  visit("step_seconds", times.step_seconds);
  visit("images_per_second", times.images_per_second);
}

/// Takes the numbers of {"saves": [{...}, ...]} as they come: a tree of values needs memory to be destroyed.
struct SavesReader : nlohmann::json_sax<nlohmann::json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t value) override { return take(static_cast<double>(value)); }
  bool number_unsigned(uint64_t value) override { return take(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) override { return take(value); }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool key(std::string& name) override {
    (depth == 1 ? outer : inner) = name;
    return true;
  }
  bool start_object(size_t) override {
    if (++depth == kEntry) entry = {-1, -1, -1, -1, -1};
    if (depth < kEntry) is_in_array = false;
    return true;
  }
  bool end_object() override {
    if (depth-- == kEntry && outer == "saves" && is_in_array && is_sound(entry)) saves.push_back(entry);
    return true;
  }
  bool start_array(size_t) override {
    if (++depth == kEntry - 1) is_in_array = true;
    return true;
  }
  bool end_array() override {
    --depth;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  bool take(double number) {
    if (depth != kEntry) return true;
    visit_numbers(entry, [&]<class Number>(const char* key, Number& target) {
      if (inner != key) return;
      target = std::is_integral_v<Number> ? static_cast<Number>(std::clamp(number, -1.0, 1e15))
                                          : static_cast<Number>(number);
    });
    return true;
  }

  static constexpr int kEntry = 3;  // depth of an object in the array of the object
  int depth = 0;
  bool is_in_array = false;  // what is at depth 2
  std::string outer, inner;  // the last keys outside of entries, and in them
  CheckpointTimes entry{};
  std::vector<CheckpointTimes> saves;
};

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
  SavesReader reader;
  if (!nlohmann::json::sax_parse(text, &reader)) return;
  saves_ = std::move(reader.saves);
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
  JsonWriter json(/*indent=*/1);
  json.begin_object();
  json.key("saves");
  json.begin_array();
  for (const CheckpointTimes& save : saves_) {
    json.begin_object();
    visit_numbers(save, [&](const char* key, auto number) {
      json.key(key);
      if constexpr (std::is_integral_v<decltype(number)>) {
        json.integer(number);
      } else {
        json.number(number);
      }
    });
    json.end_object();
  }
  json.end_array();
  json.end_object();
  write_whole(path_, json.str() + "\n");
}

}  // namespace fovea::cli
