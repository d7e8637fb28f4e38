#include "event_files.h"

#include <algorithm>
#include <filesystem>

namespace fovea::cli {

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("events.out.tfevents.") && !name.ends_with(".part")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void remove_event_files(const std::string& folder) {
  for (const std::string& name : event_files(folder))
    std::filesystem::remove(std::filesystem::path(folder) / name);
}

}  // namespace fovea::cli
