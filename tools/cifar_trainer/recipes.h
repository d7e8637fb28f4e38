#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fovea::cli {

/// The folder of the recipes that were installed, or built, with this program: beside it, wherever it was
/// moved to.
std::filesystem::path recipe_folder();
/// The names of the recipes in a folder, without ".toml", in order; none where there is no such folder, and
/// those that were seen where it cannot be listed to its end.
std::vector<std::string> recipe_names(const std::filesystem::path& folder);

/// The file that --config means: `config` where there is such a file or where it is more than a name, else
/// the recipe of that name, with or without ".toml". UnreadableSettings, with the names that there are, where
/// there is none.
std::string settings_file_of(const std::string& config,
                             const std::filesystem::path& folder = recipe_folder());

}  // namespace fovea::cli
