#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/settings_fields.h"
#include "fovea/data/datasets.h"
#include "fovea/models/zoo.h"
#include "fovea/training/training_settings.h"

namespace fovea::cli {

/// Of images without a test part the share that is the test set.
inline constexpr double kTestShare = 0.2;

/// The group of the settings that say which network it is.
inline constexpr const char* kNetworkGroup = "Model";

/// What can be learnt: the datasets that have a name, and a folder of the user's own images or arrays.
std::vector<std::string> dataset_choices();
inline constexpr const char *kImageFolder = "folder", *kNpyFolder = "npy";

/// Everything that can be set. What is named in visit, here and in the library's settings, is a key of a
/// settings file and a flag of the same name. The defaults are the quick recipe.
struct Settings {
  std::string model = "attention-nano";
  ModelOptions network{};
  std::string dataset = "cifar10";
  std::string data;                     // "": where it is found
  std::optional<int64_t> image_size{};  // not set: that of the dataset, of own images the network's
  std::optional<double> test_share{};   // not set: kTestShare
  int64_t limit = 0;
  int64_t test_limit = 0;
  std::optional<int64_t> validation{};  // not set: a tenth of the training images
  double label_noise = 0;
  TrainingSettings training{.epochs = 4, .schedule = {.learning_rate = 0.3}};
  std::string device = "auto";
  int64_t threads = 0;
  std::string out;  // "": runs/MODEL-DATASET
  int64_t save_every = 0;
  int64_t log_every = 50;
  bool tensorboard = false;

  template <class V>
  void visit(V&& v) {
    v("model", model, {.help = "the network", .choices = model_names(), .group = kNetworkGroup});
    v("network", network, {.group = kNetworkGroup});
    v("dataset", dataset, {.help = "what to learn", .choices = dataset_choices(), .group = "Data"});
    v("data", data,
      {.help = "folder that holds the files, or its parent", .group = "Data", .shapes_result = false});
    v("image_size", image_size,
      {.help =
           "height and width that images are brought to: the shorter side resized, the middle kept; default "
           "the dataset's own, of folder and npy the network's, 32 or 224",
       .least = 1,
       .most = 4096,
       .group = "Data"});
    v("test_share", test_share,
      {.help = "of folder and npy without a test part: share of each class to test with, the same images for "
               "every seed; default 0.2",
       .most = 1,
       .above_least = true,
       .group = "Data"});
    v("limit", limit, {.help = "only the first N training images; 0: all", .group = "Data"});
    v("test_limit", test_limit, {.help = "only the first N test images; 0: all", .group = "Data"});
    v("validation", validation,
      {.help = "training images held out, by class and seed: the best epoch is that on them; default a tenth "
               "of them; 0: none, and no best",
       .most = 1e9,
       .group = "Data"});
    v("label_noise", label_noise,
      {.help = "share of the training images that get a wrong label", .most = 1, .group = "Data"});
    v("training", training, {.group = "Training"});
    v("device", device, {.help = "auto, cpu, cuda or cuda:N", .group = "Run", .shapes_result = false});
    v("threads", threads,
      {.help = "threads on the CPU; 0: one a core", .most = 1024, .group = "Run", .shapes_result = false});
    v("out", out,
      {.help = "folder of the run; default runs/MODEL-DATASET", .group = "Run", .shapes_result = false});
    v("save_every", save_every,
      {.help = "save last.safetensors also every N steps; 0: after each epoch only",
       .most = 1e12,
       .group = "Run",
       .shapes_result = false});
    v("log_every", log_every,
      {.help = "a line in metrics.jsonl every N steps; 0: after each epoch only",
       .most = 1e12,
       .group = "Run",
       .shapes_result = false});
    v("tensorboard", tensorboard,
      {.help = "write what TensorBoard reads as well", .group = "Run", .shapes_result = false});
  }
};

/// A field of Settings, under the key by which users know it: "batch-size", and the flag --batch-size.
struct Setting {
  std::string key;
  Field field;
};

/// Those of `settings`, which must outlive them, in the order of the help.
std::vector<Setting> list_settings(Settings& settings);
/// The setting called `key`; UsageError, which names `where` and the nearest key, if there is none.
const Setting& find_setting(const std::vector<Setting>& settings, std::string_view key,
                            std::string_view where);
/// The value of a setting as TOML has it: 0.1, "cifar10", true, [1, 2]; "the model's own" or "not set"
/// without one.
std::string value_text(const Setting& setting);

/// Keys and texts from the command line, in order.
using Overrides = std::vector<std::pair<std::string, std::string>>;
/// Whether one of them is of this key.
bool is_given(const Overrides& overrides, std::string_view key);
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
/// Which settings go into a file: all but `out`, which belongs to one run, or what shapes the result, or of
/// that what says which network it is.
enum class Selection { all, shaping, network };
/// What is set, as TOML that apply_toml reads back to the same settings.
std::string to_toml(const Settings& settings, Selection selection);

/// Fills in what depends on other settings: warm_up and out.
void resolve(Settings& settings);
/// UsageError if settings contradict each other, for example milestones without the steps schedule.
void check_consistent(const Settings& settings);
/// Throws UsageError, which names the setting and both values, if the settings of a run to be continued shape
/// the result in another way than those it was started with; but the precision may change, from and to all
/// but f16. `file`: where they come from; "": flags.
void check_resumable(const Settings& saved, const Settings& wanted, const std::string& file = "");
/// Whether epochs and max-steps shape the learning rate of every step, so that a run cannot be made longer.
bool length_shapes_result(const Settings& settings);

}  // namespace fovea::cli
