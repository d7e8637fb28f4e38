#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fovea/core/device.h"
#include "fovea/core/profile.h"

#pragma GCC visibility push(default)
namespace fovea {

/// A step that was profiled: when it began, on the clock of KernelCall, and how long it took.
struct ProfiledStep {
  double begin = 0, seconds = 0;
};

/// Some steps and the kernels called meanwhile.
struct Profile {
  std::vector<ProfiledStep> steps;
  std::vector<KernelCall> calls;
  int thread = 0;  // which runs the steps; kernels of others run beside it
};

/// What a device does at the most: bytes copied a second (read and written ones counted) and floating-point
/// operations a second of a large product. 0: not known.
struct DeviceSpeed {
  double copy_bandwidth = 0, product_rate = 0;
};

/// Runs a step, measuring its kernels, and adds it to the profile. Waits for the device.
void profile_step(Device device, const std::function<void()>& step, Profile& profile);

/// Two Markdown tables of the mean step, by operation and by operation and shapes, the most expensive first:
/// time, bytes, floating-point operations, the bound that the device's speed sets and how far from it the
/// time is. The last rows of the first sum up the step: its kernels, the time between them, all.
std::string profile_tables(const Profile& profile, const DeviceSpeed& speed);

/// The steps and their kernels as JSON that chrome://tracing and Perfetto show.
std::string chrome_trace(const Profile& profile);

}  // namespace fovea
#pragma GCC visibility pop
