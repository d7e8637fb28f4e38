#include "recipes.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"
#include "installed_files.h"
#include "settings.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kEnding = ".toml";

}  // namespace

fs::path recipe_folder() {
  return installed_folder("settings");
}

std::vector<std::string> recipe_names(const fs::path& folder) {
  return names_in(folder, kEnding);
}

std::string settings_file_of(const std::string& config, const fs::path& folder) {
  std::error_code ignored;
  const bool is_name = !config.empty() && config.find('/') == std::string::npos;
  const fs::file_status status = fs::status(config, ignored);
  if (!is_name || (fs::exists(status) && !fs::is_directory(status))) return config;
  const std::string name =
      config.ends_with(kEnding) ? config.substr(0, config.size() - std::string(kEnding).size()) : config;
  const std::vector<std::string> names = recipe_names(folder);
  if (std::find(names.begin(), names.end(), name) != names.end()) return folder / (name + kEnding);
  if (fs::is_directory(status)) return config;  // whose error is that of any folder
  throw UnreadableSettings(str("settings: there is no file ", in_quotes(config),
                               " in this folder, and no recipe of that name in ", folder.string(),
                               names.empty() ? ", which has none" : ", which has " + joined(names),
                               suggestion(name, names), "; --config takes a TOML file or a recipe's name"));
}

}  // namespace fovea::cli
