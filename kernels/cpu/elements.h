#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/dtype.h"
#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu {

/// Calls body(begin, end) for ranges that cover the elements [0, count) and begin at whole blocks, so that no
/// element moves between a loop's vector part and its remainder when the number of threads changes.
template <class Body>
void parallel_for_elements(int64_t count, Body&& body) {
  constexpr int64_t kBlock = 64;
  constexpr int64_t kBlocksPerThread = 512;  // waking a thread costs as much as some ten thousand elements
  parallel_for((count + kBlock - 1) / kBlock, kBlocksPerThread,
               [&](int64_t begin, int64_t end) { body(begin * kBlock, std::min(count, end * kBlock)); });
}

/// y[i] = f(x[i]...) for all elements, computed in Accumulator<T>. y may be one of the inputs.
template <class T, class Function, class... X>
void map_elements(int64_t count, T* y, Function f, const X*... x) {
  parallel_for_elements(count, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      y[i] = static_cast<T>(f(static_cast<Accumulator<X>>(x[i])...));
    }
  });
}

}  // namespace fovea::kernels::cpu
