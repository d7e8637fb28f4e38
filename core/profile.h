#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace fovea {

/// Time spent in one kernel since profiling was turned on.
struct ProfileEntry {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
};

/// Turns the measuring of kernels on (forgetting earlier measurements) or off.
void set_profiling(bool on);
/// What was measured, the most expensive first.
std::vector<ProfileEntry> profile_entries();
/// The entries as a table: name, calls, seconds, share.
std::string profile_table();

namespace internal {
extern std::atomic<bool> profiling;
void add_profile_sample(const char* name, double seconds);
double profile_clock();
}  // namespace internal

/// Measures its own life under `name` while profiling is on; costs one relaxed load otherwise.
class ProfileScope {
 public:
  explicit ProfileScope(const char* name)
      : name_(internal::profiling.load(std::memory_order_relaxed) ? name : nullptr),
        begin_(name_ != nullptr ? internal::profile_clock() : 0.0) {}
  ~ProfileScope() {
    if (name_ != nullptr) internal::add_profile_sample(name_, internal::profile_clock() - begin_);
  }
  bool is_on() const { return name_ != nullptr; }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  const char* name_;
  double begin_;
};

}  // namespace fovea
