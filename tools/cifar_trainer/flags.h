#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "settings.h"

namespace CLI {
class App;
}

/// The flags of a command: numbers, and settings under their keys.
namespace fovea::cli {

inline constexpr int64_t kAny = std::numeric_limits<int64_t>::max();  // no greatest number

/// A flag for a whole number. What is none, or out of its range, is a UsageError that says what is wanted.
void add_number(CLI::App& command, const std::string& flag, int64_t least, int64_t most,
                const std::function<void(int64_t)>& keep, const std::string& help, const char* name = "N");

/// All settings, with their defaults.
const std::vector<Setting>& default_settings();

/// Whether a flag's help says its default.
enum class Defaults { shown, hidden };

/// A flag for a setting, whose text is kept for apply_overrides.
void add_setting(CLI::App& command, const Setting& setting, Overrides& overrides, Defaults defaults);
/// Flags for the settings of these keys, without their defaults.
void add_settings(CLI::App& command, const std::vector<std::string>& keys, Overrides& overrides);
/// The same for those that say which network it is.
void add_network_settings(CLI::App& command, Overrides& overrides);

}  // namespace fovea::cli
