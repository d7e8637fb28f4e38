#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "fovea/core/ranks.h"
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

/// Where numbers that are not finite come from: a sentence for an error message.
struct NonFiniteCause {
  std::string sentence;
  int64_t place = 0;   // of several ranks it began where this is lowest: the number of an operation, or below
  std::string what{};  // "a gradient is not finite", or so
};
/// Of what all ranks have alike; of a gradient, which is behind all statistics; of nothing that was found.
inline constexpr int64_t kCommonPlace = 0, kGradientPlace = 1, kNoPlace = INT64_MAX;

/// The first parameter or buffer that holds one; else, after another run of `forward`, the first operation
/// whose result holds one, and the layer whose parameters it uses (or the last layer before it).
NonFiniteCause explain_non_finite(Module& module, const std::function<void()>& forward);

/// The cause of the rank where it began, whose number is in the sentence, unless all have it alike; the own
/// one without ranks. All ranks get the same.
NonFiniteCause first_of_ranks(Ranks* ranks, const NonFiniteCause& own);

}  // namespace fovea
#pragma GCC visibility pop
