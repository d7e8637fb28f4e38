#pragma once

#include <functional>
#include <span>
#include <string>

#include "fovea/core/safetensors.h"
#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// "parameter stem.weight (f32[16, 3, 3, 3]) has 2 numbers that are not finite" of the first parameter or
/// buffer that has any; "" if there is none.
std::string non_finite_weight(Module& module);

/// Error if one of the tensors has a number that is not finite: "save: out.safetensors: norm.weight (f32[8])
/// has 1 numbers that are not finite; <advice>", where `what` is "save: out.safetensors: ".
void check_finite(std::span<const NamedTensor> tensors, const std::string& what, const std::string& advice);

/// Where the numbers that are not finite come from: the first parameter or buffer that holds one; else, after
/// another run of `forward`, the first operation whose result holds one, and the layer whose parameters it
/// uses (or the last layer before it). A sentence for an error message.
std::string explain_non_finite(Module& module, const std::function<void()>& forward);

}  // namespace fovea
#pragma GCC visibility pop
