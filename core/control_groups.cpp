#include "fovea/core/control_groups.h"

#include <fstream>
#include <sstream>

namespace fovea {
namespace {

/// A group and those around it, up to where they are mounted.
void add_up_from(const std::string& mount, std::string group, std::vector<std::string>& folders) {
  for (;; group.erase(group.rfind('/'))) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    folders.push_back(mount + group);
    if (group.find('/') == std::string::npos) return;
  }
}

}  // namespace

std::vector<std::string> control_group_folders(const std::string& controller, const std::string& root) {
  std::vector<std::string> folders;
  std::ifstream file(root + "/proc/self/cgroup");
  // "0::/user.slice/job" (version 2) or "4:cpu,cpuacct:/job" (version 1)
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      group = line.substr(second + 1);
    if (controllers.empty()) {
      for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        add_up_from(root + mount, group, folders);
      continue;
    }
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name != controller) continue;
      for (const std::string& mount : {controllers, name}) {
        add_up_from(std::string(root).append("/sys/fs/cgroup/").append(mount), group, folders);
      }
    }
  }
  return folders;
}

}  // namespace fovea
