#include "fovea/core/available_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "fovea/core/control_groups.h"

namespace fovea {
namespace {

using Bytes = std::optional<int64_t>;

/// The number at the begin of a file; nothing for "max" and what is no number.
Bytes number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? Bytes(number) : std::nullopt;
}

/// The number behind a word at the begin of a line.
Bytes number_after(const std::string& word, const std::string& path) {
  std::ifstream file(path);
  for (std::string found; file >> found;) {
    int64_t number = 0;
    if (found == word) return file >> number ? Bytes(number) : std::nullopt;
    std::getline(file, found);
  }
  return std::nullopt;
}

void take_smaller(Bytes& least, int64_t bytes) {
  least = std::min(least.value_or(bytes), std::max<int64_t>(bytes, 0));
}

/// What a limit leaves of a group whose processes use `used`, of which `idle` can be dropped.
void look_into(const std::string& folder, const char* limit_file, const char* used_file, const char* idle,
               Bytes& least) {
  const Bytes limit = number_in(folder + limit_file), used = number_in(folder + used_file);
  if (!limit || !used) return;
  take_smaller(least, *limit - *used + number_after(idle, folder + "/memory.stat").value_or(0));
}

}  // namespace

std::optional<int64_t> available_memory(const std::string& root) {
  Bytes least;
  constexpr int64_t kKibibyte = 1024;
  if (const Bytes available = number_after("MemAvailable:", root + "/proc/meminfo"))
    take_smaller(least, *available * kKibibyte);
  for (const std::string& folder : control_group_folders("memory", root)) {
    look_into(folder, "/memory.max", "/memory.current", "inactive_file", least);
    look_into(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file", least);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const Bytes pages = number_in(root + "/proc/self/statm");
    take_smaller(least, static_cast<int64_t>(limit.rlim_cur) - pages.value_or(0) * sysconf(_SC_PAGESIZE));
  }
  return least;
}

}  // namespace fovea
