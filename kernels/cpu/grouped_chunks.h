#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "fovea/core/ranks.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels::cpu {

/// Units of work on a batch (images, rows of pixels) cut into groups (core/ranks.h), and those into chunks,
/// as many in each. Sizes and order follow from the number of units and of groups, not from the threads. To
/// be made on the thread that calls the kernel, which knows its share of a batch (batch_groups).
class GroupedChunks {
 public:
  /// Chunks of at most `largest` units in groups of equal size: in others one more.
  GroupedChunks(int64_t units, int64_t largest) : units_(units), groups_(std::min(batch_groups(), units)) {
    if (units == 0) return;
    per_group_ = std::max<int64_t>(1, (units / groups_ + largest - 1) / largest);
  }

  int64_t count() const { return groups_ * per_group_; }
  int64_t groups() const { return groups_; }
  int64_t per_group() const { return per_group_; }
  /// Each chunk has `smallest` units or one more.
  Interval units(int64_t chunk) const { return {units_ * chunk / count(), units_ * (chunk + 1) / count()}; }
  int64_t smallest() const { return units_ / count(); }
  int64_t largest() const { return (units_ + count() - 1) / count(); }
  Interval units_of_group(int64_t group) const {
    return {units_ * group / groups_, units_ * (group + 1) / groups_};
  }

 private:
  int64_t units_, groups_, per_group_ = 1;
};

/// Calls add(to, from) so that number 0 of `count` becomes the sum of all: pairs, then pairs of pairs.
template <class Add>
void add_by_pairs(int64_t count, Add&& add) {
  for (int64_t step = 1; step < count; step *= 2) {
    for (int64_t i = 0; i + step < count; i += 2 * step) add(i, i + step);
  }
}
/// The sum of the first `count` numbers, or vectors of them; that of none is 0.
template <class A>
A sum_by_pairs(int64_t count, std::array<A, kBatchGroups> numbers) {
  add_by_pairs(count, [&](int64_t to, int64_t from) {
    numbers[static_cast<size_t>(to)] += numbers[static_cast<size_t>(from)];
  });
  return count == 0 ? A{} : numbers[0];
}

}  // namespace fovea::kernels::cpu
