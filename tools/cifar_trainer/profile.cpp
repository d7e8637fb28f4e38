#include "profile.h"

#include <fmt/format.h>

#include "fovea/training/device_speed.h"
#include "output.h"

namespace fovea::cli {

std::string profile_text(const std::string& title, const Profile& profile, const DeviceSpeed& speed) {
  return fmt::format("# Profile: {}\n\n{}", title, profile_tables(profile, speed));
}

void run_profiled(bool is_profiled, Device device, Precision precision, const std::function<void()>& work) {
  if (!is_profiled) return work();
  const DeviceSpeed speed = measure_speed(device, precision);
  Profile profile;
  profile_step(device, work, profile);
  show(profile_text(device.str(), profile, speed));
}

}  // namespace fovea::cli
