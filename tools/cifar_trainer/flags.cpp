#include "flags.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "fovea/core/check.h"
#include "fovea/core/suggestion.h"

namespace fovea::cli {
namespace {

std::string help_of(const Setting& setting, Defaults defaults) {
  const FieldInfo& info = setting.field.info;
  std::string help = info.help;
  if (!info.choices.empty()) help += ": " + joined(info.choices);
  std::string value = value_text(setting);
  std::erase(value, '"');
  const bool is_open = !setting.field.value() || value.empty() || value == "[]";
  if (defaults == Defaults::shown && !is_open) help += " [" + value + "]";
  return help;
}

// What stands for a value in the help.
const char* placeholder(FieldKind kind) {
  switch (kind) {
    case FieldKind::integer: return "N";
    case FieldKind::number: return "X";
    case FieldKind::numbers: return "LIST";
    default: return "TEXT";
  }
}

}  // namespace

void add_number(CLI::App& command, const std::string& flag, int64_t least, int64_t most,
                const std::function<void(int64_t)>& keep, const std::string& help, const char* name) {
  const auto parse = [=](const std::string& text) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    check<UsageError>(is_number && number >= least && number <= most, flag, " is ", text,
                      ", wanted a whole number, ", least, most == kAny ? " or more" : str(" to ", most));
    keep(number);
  };
  command.add_option_function<std::string>(flag, parse, help)->type_name(name);
}

const std::vector<Setting>& default_settings() {
  static Settings defaults;
  static const std::vector<Setting> list = list_settings(defaults);
  return list;
}

void add_setting(CLI::App& command, const Setting& setting, Overrides& overrides, Defaults defaults) {
  const std::string help = help_of(setting, defaults);
  const std::string& key = setting.key;
  if (setting.field.kind == FieldKind::flag) {
    const auto add = [&](const std::string& prefix, const char* value) {
      const auto keep = [&overrides, key, value] { overrides.emplace_back(key, value); };
      return command.add_flag_callback(prefix + key, keep, help);
    };
    add("--", "true")->group(setting.field.info.group);
    add("--no-", "false")->group("");  // hidden; the notes mention it
    return;
  }
  const auto keep = [&overrides, key](const std::string& text) { overrides.emplace_back(key, text); };
  command.add_option_function<std::string>("--" + key, keep, help)
      ->type_name(placeholder(setting.field.kind))
      ->group(setting.field.info.group);
}

void add_settings(CLI::App& command, const std::vector<std::string>& keys, Overrides& overrides) {
  for (const std::string& key : keys) {
    add_setting(command, find_setting(default_settings(), key, "command line"), overrides, Defaults::hidden);
  }
}

void add_network_settings(CLI::App& command, Overrides& overrides) {
  for (const Setting& setting : default_settings()) {
    if (setting.field.info.group == std::string(kNetworkGroup)) {
      add_setting(command, setting, overrides, Defaults::hidden);
    }
  }
}

}  // namespace fovea::cli
