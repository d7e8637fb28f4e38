#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fovea::cli {

/// The folder of that name among the files that were installed, or built, with this program: from where the
/// program is, wherever it was moved to; below /usr/local where /proc does not tell that.
std::filesystem::path installed_folder(const char* name);
/// The file of that name among the libraries of this program's own, likewise.
std::filesystem::path installed_module(const char* name);
/// The names of the files in a folder that end so, without the ending, in order; none where there is no such
/// folder, and those that were seen where it cannot be listed to its end.
std::vector<std::string> names_in(const std::filesystem::path& folder, const std::string& ending);

/// The network that is used where none is named.
inline constexpr const char* kDefaultWeights = "attention56";

/// The folder of the trained networks that come with this program.
std::filesystem::path weights_folder();
/// Their names.
std::vector<std::string> weights_names(const std::filesystem::path& folder = weights_folder());
/// The file of the one of that name. UsageError, with the names that there are, if there is none.
std::string weights_file_of(const std::string& name, const std::filesystem::path& folder = weights_folder());

}  // namespace fovea::cli
