#include "fovea/core/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace fovea {
namespace {

/// Numbers of a line such as "150000 100000"; "max" and what is no number end it.
std::vector<double> numbers_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<double> numbers;
  for (double number = 0; numbers.size() < 2 && file >> number;) numbers.push_back(number);
  return numbers;
}

void take_smaller(std::optional<double>& least, double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return;  // -1: no limit
  least = std::min(least.value_or(quota / period), quota / period);
}

/// What the files of one group say.
void look_into(const std::string& folder, std::optional<double>& least) {
  if (const auto both = numbers_in(folder + "/cpu.max"); both.size() == 2) {
    take_smaller(least, both[0], both[1]);
  }
  const auto quota = numbers_in(folder + "/cpu.cfs_quota_us"),
             period = numbers_in(folder + "/cpu.cfs_period_us");
  if (!quota.empty() && !period.empty()) take_smaller(least, quota[0], period[0]);
}

/// A group and those around it, up to where they are mounted. In a container the path may be that of the
/// host, which is not there: then the mount itself is the container's group.
void look_up_from(const std::string& mount, std::string group, std::optional<double>& least) {
  for (;; group.erase(group.rfind('/'))) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    look_into(mount + group, least);
    if (group.find('/') == std::string::npos) return;
  }
}

}  // namespace

std::optional<double> cpu_quota(const std::string& root) {
  std::optional<double> least;
  std::ifstream file(root + "/proc/self/cgroup");
  // "0::/user.slice/job" (version 2) or "4:cpu,cpuacct:/job" (version 1)
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      group = line.substr(second + 1);
    if (controllers.empty()) {
      for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        look_up_from(root + mount, group, least);
      continue;
    }
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name != "cpu") continue;
      for (const std::string& mount : {controllers, name}) {
        look_up_from(std::string(root).append("/sys/fs/cgroup/").append(mount), group, least);
      }
    }
  }
  return least;
}

int threads_within(int processors, std::optional<double> quota) {
  if (!quota || *quota >= processors) return std::max(1, processors);
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

}  // namespace fovea
