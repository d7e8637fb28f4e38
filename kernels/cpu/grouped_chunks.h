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
  /// One chunk a group.
  explicit GroupedChunks(int64_t units) : units_(units), groups_(std::min(batch_groups(), units)) {}
  /// Chunks of at most `largest` units in groups of equal size: in others one more.
  GroupedChunks(int64_t units, int64_t largest) : GroupedChunks(units) {
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

/// The sum of number_of(0), ..., number_of(count - 1), at most kBatchGroups numbers or vectors, by pairs;
/// that of none is 0.
template <class A, class NumberOf>
A sum_by_pairs(int64_t count, NumberOf&& number_of) {
  std::array<A, kBatchGroups> numbers{};
  const auto at = [&](int64_t i) -> A& { return numbers[static_cast<size_t>(i)]; };
  for (int64_t i = 0; i < count; ++i) at(i) = number_of(i);
  add_by_pairs(count, [&](int64_t to, int64_t from) { at(to) += at(from); });
  return numbers[0];
}

}  // namespace fovea::kernels::cpu
