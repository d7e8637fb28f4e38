#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu {

/// Calls body(begin, end, weight_decay) for pieces that cover the elements [0, count) of an optimiser's
/// arena: with `decay` for the first `decay_count` elements, then with 0.
template <class A, class Body>
void parallel_for_arena(int64_t count, int64_t decay_count, A decay, Body&& body) {
  constexpr int64_t kBlock = 4096;
  parallel_for((count + kBlock - 1) / kBlock, /*grain=*/8, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBlock, end = std::min(count, begin + kBlock);
      const int64_t middle = std::clamp(decay_count, begin, end);
      if (begin < middle) body(begin, middle, decay);
      if (middle < end) body(middle, end, A(0));
    }
  });
}

/// f32 or f64, as optimisers' arenas are.
template <class Body>
void visit_arena(const char* operation, Dtype dtype, Body&& body) {
  check(dtype == Dtype::f32 || dtype == Dtype::f64, operation, ": dtype is ", dtype, ", wanted f32 or f64");
  if (dtype == Dtype::f32) {
    body.template operator()<float>();
  } else {
    body.template operator()<double>();
  }
}

}  // namespace fovea::kernels::cpu
