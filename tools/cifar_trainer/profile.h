#pragma once

#include <functional>
#include <string>

#include "fovea/core/profile_report.h"
#include "fovea/training/precision.h"

namespace fovea::cli {

/// What was profiled, and the tables, as Markdown.
std::string profile_text(const std::string& title, const Profile& profile, const DeviceSpeed& speed);

/// Does some work; `is_profiled`: as one step, whose tables it prints on standard error.
void run_profiled(bool is_profiled, Device device, Precision precision, const std::function<void()>& work);

}  // namespace fovea::cli
