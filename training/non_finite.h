#pragma once

#include <functional>
#include <string>

#include "fovea/layers/module.h"

namespace fovea {

/// Where the numbers that are not finite come from: the first parameter that holds one; else, after another
/// run of `forward`, the first operation whose result holds one, and the layer whose parameters it uses (or
/// the last layer before it). A sentence for an error message.
std::string explain_non_finite(Module& module, const std::function<void()>& forward);

}  // namespace fovea
