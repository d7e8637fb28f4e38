#include "fovea/core/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>

namespace fovea {
namespace {

struct Samples {
  std::mutex mutex;
  std::map<std::string, ProfileEntry> entries;
};

Samples& samples() {
  static auto* all = new Samples;
  return *all;
}

}  // namespace

namespace internal {

std::atomic<bool> profiling{false};

double profile_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void add_profile_sample(const char* name, double seconds) {
  std::lock_guard lock(samples().mutex);
  ProfileEntry& entry = samples().entries[name];
  entry.name = name;
  ++entry.calls;
  entry.seconds += seconds;
}

}  // namespace internal

void set_profiling(bool on) {
  if (on) {
    std::lock_guard lock(samples().mutex);
    samples().entries.clear();
  }
  internal::profiling = on;
}

std::vector<ProfileEntry> profile_entries() {
  std::vector<ProfileEntry> sorted;
  {
    std::lock_guard lock(samples().mutex);
    for (const auto& [name, entry] : samples().entries) sorted.push_back(entry);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const ProfileEntry& a, const ProfileEntry& b) { return a.seconds > b.seconds; });
  return sorted;
}

std::string profile_table() {
  const std::vector<ProfileEntry> entries = profile_entries();
  double total = 0;
  for (const ProfileEntry& entry : entries) total += entry.seconds;
  std::string table = "kernel                                calls    seconds  share\n";
  for (const ProfileEntry& entry : entries) {
    char line[160];
    std::snprintf(line, sizeof line, "%-36s %6lld %10.3f %5.1f%%\n", entry.name.c_str(),
                  static_cast<long long>(entry.calls), entry.seconds,
                  total > 0 ? 100.0 * entry.seconds / total : 0.0);
    table += line;
  }
  return table;
}

}  // namespace fovea
