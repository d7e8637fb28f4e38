#include "fovea/core/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "fovea/core/control_groups.h"

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

}  // namespace

std::optional<double> cpu_quota(const std::string& root) {
  std::optional<double> least;
  for (const std::string& folder : control_group_folders("cpu", root)) look_into(folder, least);
  return least;
}

int threads_within(int processors, std::optional<double> quota) {
  if (!quota || *quota >= processors) return std::max(1, processors);
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

}  // namespace fovea
