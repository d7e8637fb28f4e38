#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "fovea/core/check.h"

namespace fovea::cli {

/// Everything that can be set. Each field is a key of a settings file and a flag of the same name; what a
/// field means, and which values it takes, is in setting_table(). The defaults are the quick recipe.
struct Settings {
  std::string model = "attention-nano";
  std::optional<int64_t> p, t, r;      // as the model has it
  std::string attention, merge, mask;  // "": as the model has it
  std::optional<bool> extra_adds;      // as the model has it

  std::string dataset = "cifar10";
  std::string data;  // "": where it is found
  int64_t limit = 0;
  int64_t test_limit = 0;
  int64_t pad = 4;
  bool flip = true;

  int64_t epochs = 4;
  int64_t max_steps = 0;
  int64_t batch_size = 128;
  std::string optimiser = "sgd";
  double lr = 0.3;
  std::string schedule = "one-cycle";
  std::optional<double> warm_up;  // a quarter for one-cycle, else nothing
  std::vector<double> milestones;
  double decay_factor = 0.1;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  bool nesterov = true;
  double weight_decay = 5e-4;
  bool decay_norm_and_bias = true;
  double label_smoothing = 0.0;
  int64_t seed = 1;

  std::string device = "auto";
  std::string precision = "f32";
  int64_t threads = 0;

  std::string out;  // "": runs/MODEL-DATASET
  int64_t save_every = 0;
};

/// What a setting can hold, in a file or on the command line.
using Value = std::variant<std::string, int64_t, double, bool, std::vector<double>>;

/// Where a setting lives in Settings.
using Field = std::variant<std::string Settings::*, int64_t Settings::*, double Settings::*, bool Settings::*,
                           std::vector<double> Settings::*, std::optional<int64_t> Settings::*,
                           std::optional<double> Settings::*, std::optional<bool> Settings::*>;

/// One setting: its key, where it lives, and what it means.
struct Setting {
  std::string key;  // "batch-size": the key in a file, and the flag --batch-size
  Field field;
  std::string group;  // a heading of the help and of the saved file
  std::string help;
  double least = 0;  // the range of a number
  double most = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices{};  // the values of a text; empty: any
  bool shapes_result = true;           // a run cannot be resumed with another value

  /// Whether it is yes or no, so that --KEY alone means yes and --no-KEY means no.
  bool is_flag() const;
  /// What stands for its value in the help: "N", "X", "LIST" or "TEXT".
  const char* placeholder() const;
};

/// All settings, in the order of the help.
const std::vector<Setting>& setting_table();
/// The setting called `key`; UsageError, which names `where` and the nearest key, if there is none.
const Setting& find_setting(const std::string& key, const std::string& where);

/// Stores a value; UsageError, which calls the setting `where`, if its type, range or choice does not fit.
void assign(Settings& settings, const Setting& setting, const Value& value, const std::string& where);
/// The value that `text`, from the command line, means for a setting; UsageError if it is of another type.
Value parse_value(const Setting& setting, const std::string& text, const std::string& where);
/// The value as TOML has it: 0.1, "cifar10", true, [1, 2].
std::string value_text(const Settings& settings, const Setting& setting);

/// Keys and texts from the command line, in order.
using Overrides = std::vector<std::pair<std::string, std::string>>;
/// Assigns each of them; errors name the flag.
void apply_overrides(Settings& settings, const Overrides& overrides);

/// A settings file that cannot be read, or whose text is no TOML; what the text says is not wrong then.
struct UnreadableSettings : UsageError {
  using UsageError::UsageError;
};

/// Assigns every key of TOML text; UnreadableSettings for bad syntax, UsageError for an unknown key (with the
/// nearest one) or a value that does not fit, each with `name`, line and key.
void apply_toml(Settings& settings, const std::string& text, const std::string& name);
/// apply_toml on the contents of a file.
void apply_toml_file(Settings& settings, const std::string& path);
/// Which settings go into a file: all but `out`, which belongs to one run, or what shapes the result.
enum class Selection { all, shaping };
/// What is set, as TOML that apply_toml reads back to the same settings.
std::string to_toml(const Settings& settings, Selection selection);

/// Fills in what depends on other settings: warm_up and out.
void resolve(Settings& settings);
/// UsageError if settings contradict each other, for example milestones without the steps schedule.
void check_consistent(const Settings& settings);
/// Throws UsageError, which names the setting and both values, if the settings of a run to be continued shape
/// the result in another way than those it was started with.
void check_resumable(const Settings& saved, const Settings& wanted);

}  // namespace fovea::cli
