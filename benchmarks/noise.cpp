#include "noise.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace fovea::bench {
namespace {

/// Between the neighbours of the place that a share of the sorted numbers ends at.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1), whole = std::floor(place);
  const auto i = static_cast<size_t>(whole);
  return i + 1 == sorted.size() ? sorted[i] : sorted[i] + (place - whole) * (sorted[i + 1] - sorted[i]);
}

}  // namespace

std::optional<double> noise_percent(std::vector<double> seconds) {
  constexpr size_t kFewest = 4;
  if (seconds.size() < kFewest) return std::nullopt;
  std::sort(seconds.begin(), seconds.end());
  const double median = quantile(seconds, 0.5);
  if (median <= 0) return std::nullopt;
  return 100 * (quantile(seconds, 0.75) - quantile(seconds, 0.25)) / median;
}

}  // namespace fovea::bench
