#include "recipes.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"
#include "settings.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kEnding = ".toml";

}  // namespace

fs::path recipe_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  check(!error, "recipes: cannot find out where this program is: ", error.message());
  return (program.parent_path() / FOVEA_RECIPES_FROM_PROGRAM).lexically_normal();
}

std::vector<std::string> recipe_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    if (entry->path().extension() == kEnding) names.push_back(entry->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
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
