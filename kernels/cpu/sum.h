#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/kernels/cpu/vec.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// The sum of map(vector of x) over `count` consecutive numbers, in an order that depends on `count` alone:
/// one partial sum in each lane of 64 bytes, however many vectors those are, then the lanes in halves. With
/// fewer partial sums a long sum would lose digits. map gives 0 for 0.
template <class T, class Map>
inline Accumulator<T> sum_of(const T* x, int64_t count, Map map) {
  using A = Accumulator<T>;
  constexpr int kVectors = 64 / kVectorBytes;
  Vec<A> sums[kVectors]{};
  int64_t i = 0;
  for (; i + kVectors * kLanes<A> <= count; i += kVectors * kLanes<A>) {
    for (int v = 0; v < kVectors; ++v) sums[v] += map(load(x + i + v * kLanes<A>, AllLanes<A>()));
  }
  for (int v = 0; i < count; ++v, i += kLanes<A>) {
    sums[v] += map(load(x + i, static_cast<int>(std::min<int64_t>(count - i, kLanes<A>))));
  }
  for (int width = kVectors / 2; width > 0; width /= 2) {
    for (int v = 0; v < width; ++v) sums[v] += sums[v + width];
  }
  Vec<A>& lanes = sums[0];
  for (int width = kLanes<A> / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}
/// The sum of the numbers.
template <class T>
inline Accumulator<T> sum_of(const T* x, int64_t count) {
  return sum_of(x, count, [](const auto& values) { return values; });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
