#pragma once

#include <functional>

namespace fovea::kernels::cuda {

/// How long one call of `body` takes on the device, when it is launched from a recorded graph, as in a
/// training step: small kernels would else wait for the CPU that launches them. The median of several
/// measurements. DeviceError for what cannot be recorded; call `body` once before.
double seconds_in_graph(const std::function<void()>& body);

}  // namespace fovea::kernels::cuda
