#pragma once

#include <string>

#include "fovea/core/device.h"

namespace fovea {

/// What computes: the GPU's or the processor's name, as the system says it; "" where it does not.
std::string processor_name(const Device& device);

}  // namespace fovea
