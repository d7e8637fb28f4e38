#include "settings.h"

#include <algorithm>
#include <charconv>

#include "fovea/core/check.h"
#include "fovea/core/suggestion.h"

namespace fovea::cli {
namespace {

// A text as TOML has it.
std::string quoted(const std::string& text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += std::string("\\") + c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
    } else {
      result += c;
    }
  }
  return result + "\"";
}

// All of `text` as a number of type T.
template <class T>
std::optional<T> parse(const std::string& text) {
  T number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// "64000,96000", with or without brackets and spaces.
std::optional<std::vector<double>> parse_numbers(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '[' || c == ']'; });
  std::vector<double> numbers;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto number = parse<double>(text.substr(begin, end - begin));
    if (!number) return std::nullopt;
    numbers.push_back(*number);
    begin = end + 1;
  }
  return numbers;
}

std::string toml_text(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return quoted(*text);
  if (std::holds_alternative<std::vector<double>>(value)) return "[" + field_text(value) + "]";
  return field_text(value);
}

// The value that a text from the command line means.
FieldValue parse_value(const Setting& setting, const std::string& text) {
  const FieldKind kind = setting.field.kind;
  if (kind == FieldKind::integer) {
    if (const auto number = parse<int64_t>(text)) return *number;
    if (const auto number = parse<double>(text); number && whole_number(*number))
      return *whole_number(*number);
  } else if (kind == FieldKind::number) {
    if (const auto number = parse<double>(text)) return *number;
  } else if (kind == FieldKind::flag) {
    if (text == "true" || text == "false") return text == "true";
  } else if (kind == FieldKind::numbers) {
    if (auto numbers = parse_numbers(text)) return std::move(*numbers);
  }
  return std::string(text);  // which assign refuses where no text is wanted
}

// Whether a checkpoint keeps a setting, so that a run is not resumed with another value. max-steps shapes the
// learning rate of a run without epochs.
bool shapes_result(const Setting& setting) {
  return setting.field.info.shapes_result || setting.key == "max-steps";
}

}  // namespace

std::vector<std::string> dataset_choices() {
  std::vector<std::string> names = dataset_names();
  names.insert(names.end(), {kImageFolder, kNpyFolder});
  return names;
}

std::vector<Setting> list_settings(Settings& settings) {
  std::vector<Setting> list;
  for (Field& field : fields_of(settings)) {
    const std::string key = field.info.flag != nullptr ? field.info.flag : field.default_flag();
    if (!key.empty()) list.push_back({key, std::move(field)});
  }
  return list;
}

const Setting& find_setting(const std::vector<Setting>& settings, std::string_view key,
                            std::string_view where) {
  std::vector<std::string> keys;
  for (const Setting& setting : settings) {
    if (setting.key == key) return setting;
    keys.push_back(setting.key);
  }
  throw UsageError(
      str("settings: ", where, ": there is no setting ", in_quotes(key), suggestion(std::string(key), keys)));
}

std::string value_text(const Setting& setting) {
  const auto value = setting.field.value();
  if (value) return toml_text(*value);
  return setting.field.info.group == std::string(kNetworkGroup) ? "the model's own" : "not set";
}

bool is_given(const Overrides& overrides, std::string_view key) {
  return std::any_of(overrides.begin(), overrides.end(),
                     [&](const auto& entry) { return entry.first == key; });
}

void apply_overrides(Settings& settings, const Overrides& overrides) {
  const std::vector<Setting> list = list_settings(settings);
  for (const auto& [key, text] : overrides) {
    const Setting& setting = find_setting(list, key, "command line");
    setting.field.assign(parse_value(setting, text), "settings: --" + key);
  }
}

std::string to_toml(const Settings& settings, Selection selection) {
  Settings copy = settings;
  std::string text, group;
  for (const Setting& setting : list_settings(copy)) {
    const FieldInfo& info = setting.field.info;
    const auto value = setting.field.value();
    const bool is_selected = selection == Selection::all       ? setting.key != "out"
                             : selection == Selection::shaping ? shapes_result(setting)
                                                               : info.group == std::string(kNetworkGroup);
    if (!is_selected || !value || field_text(*value).empty()) continue;
    if (info.group != group) text += (group.empty() ? "# " : "\n# ") + std::string(info.group) + "\n";
    group = info.group;
    text += setting.key + " = " + toml_text(*value) + "\n";
  }
  return text;
}

void resolve(Settings& settings) {
  ScheduleSettings& schedule = settings.training.schedule;
  if (!schedule.warm_up) schedule.warm_up = default_warm_up(schedule.kind);
  if (settings.out.empty()) settings.out = "runs/" + settings.model + "-" + settings.dataset;
}

void check_consistent(const Settings& settings) {
  const ScheduleSettings& schedule = settings.training.schedule;
  const bool has_milestones = !schedule.milestones.empty();
  check<UsageError>(has_milestones == (schedule.kind == ScheduleKind::steps), "settings: the schedule ",
                    name_of(schedule.kind), " with ", schedule.milestones.size(),
                    " milestones; wanted milestones for the schedule steps, and for no other");
  check_milestones(schedule.milestones);
  const std::optional<Augmentation>& augmentation = settings.training.augmentation;
  check<UsageError>(
      !augmentation || augmentation->flip || !augmentation->alternating_flip,
      "settings: alternating-flip with no-flip; wanted flip for images that are flipped by turns");
  check<UsageError>(settings.training.epochs > 0 || settings.training.max_steps > 0,
                    "settings: epochs and max-steps are both 0, so the run has no end; set one of them");
}

bool length_shapes_result(const Settings& settings) {
  const ScheduleSettings& schedule = settings.training.schedule;
  const auto follows_length = [](double position) { return position > 0 && position < 1; };
  return schedule.kind == ScheduleKind::one_cycle || schedule.kind == ScheduleKind::cosine ||
         follows_length(schedule.warm_up.value_or(0)) ||
         std::any_of(schedule.milestones.begin(), schedule.milestones.end(), follows_length);
}

void check_resumable(const Settings& saved, const Settings& wanted, const std::string& file) {
  const bool length_shapes = length_shapes_result(saved);
  Settings before = saved, now = wanted;
  const std::vector<Setting> list = list_settings(now);
  for (const Setting& old : list_settings(before)) {
    // The learning rate follows the epochs, or, where there are none, max-steps.
    const bool is_length = old.key == "epochs" || old.key == "max-steps";
    const bool is_mere_end =
        is_length && (!length_shapes || (old.key == "max-steps" && saved.training.epochs > 0));
    // All that is kept is f32 whatever a step computes in; f16 keeps the scale of its loss, too.
    const bool is_mere_precision = old.key == "precision" && saved.training.precision != Precision::f16 &&
                                   wanted.training.precision != Precision::f16;
    if (!shapes_result(old) || is_mere_end || is_mere_precision) continue;
    const Setting& other = find_setting(list, old.key, "resume");
    if (old.field.value() == other.field.value()) continue;
    const std::string difference =
        str(old.key, " is ", value_text(other), ", but the run to be continued has ", value_text(old));
    check<UsageError>(file.empty(), "resume: ", file, ": ", difference,
                      ", which shapes its result; set it back there (or delete the file: the checkpoint has "
                      "all that shapes the result), or begin another run with --config ",
                      file, " and --out");
    throw UsageError(str("resume: ", difference, "; leave --", old.key,
                         " out, or start another run with --out",
                         is_length ? ", from the weights of this one with --init" : ""));
  }
}

}  // namespace fovea::cli
