#pragma once

#include "fovea/kernels/cpu/vec.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// The sum of map(vector of x) over `count` consecutive numbers, in an order that depends on `count` alone:
/// one partial sum in each lane of a vector, then the lanes in halves. map gives 0 for 0.
template <class T, class Map>
inline Accumulator<T> sum_of(const T* x, int64_t count, Map map) {
  using A = Accumulator<T>;
  Vec<A> lanes{};
  int64_t i = 0;
  for (; i + kLanes<A> <= count; i += kLanes<A>) lanes += map(load(x + i, AllLanes<A>()));
  if (i < count) lanes += map(load(x + i, static_cast<int>(count - i)));
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
