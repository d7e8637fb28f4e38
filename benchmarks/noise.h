#pragma once

#include <optional>
#include <vector>

namespace fovea::bench {

/// How far times of the same work are apart: the range of the middle half of them (interquartile), in percent
/// of their median. A single disturbance does not count, as it does in a standard deviation. Nothing of fewer
/// than four.
std::optional<double> noise_percent(std::vector<double> seconds);

}  // namespace fovea::bench
