#include "installed_files.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kWeightsEnding = ".safetensors";

fs::path from_program(const char* folder) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return ((error ? "/usr/local/bin" : program.parent_path()) / folder).lexically_normal();
}

}  // namespace

fs::path installed_folder(const char* name) {
  return from_program(FOVEA_DATA_FROM_PROGRAM) / name;
}

fs::path installed_module(const char* name) {
  return from_program(FOVEA_MODULES_FROM_PROGRAM) / name;
}

std::vector<std::string> names_in(const fs::path& folder, const std::string& ending) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    if (entry->path().extension() == ending) names.push_back(entry->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path weights_folder() {
  return installed_folder("weights");
}

std::vector<std::string> weights_names(const fs::path& folder) {
  return names_in(folder, kWeightsEnding);
}

std::string weights_file_of(const std::string& name, const fs::path& folder) {
  const std::vector<std::string> names = weights_names(folder);
  check<UsageError>(std::find(names.begin(), names.end(), name) != names.end(),
                    "weights: there are none called ", in_quotes(name), " in ", folder.string(),
                    names.empty() ? ", which has none" : ", which has " + joined(names),
                    suggestion(name, names), "; --checkpoint takes a file or the folder of a run");
  return folder / (name + kWeightsEnding);
}

}  // namespace fovea::cli
