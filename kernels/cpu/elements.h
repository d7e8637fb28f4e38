#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fovea/core/dtype.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/vec.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Calls body(begin, end) for ranges that cover the elements [0, count) and begin at whole blocks, so that no
/// element moves between a loop's vector part and its remainder when the number of threads changes.
template <class Body>
void parallel_for_elements(int64_t count, Body&& body) {
  constexpr int64_t kBlock = 64;
  constexpr int64_t kBlocksPerThread = 512;  // waking a thread costs as much as some ten thousand elements
  parallel_for((count + kBlock - 1) / kBlock, kBlocksPerThread,
               [&](int64_t begin, int64_t end) { body(begin * kBlock, std::min(count, end * kBlock)); });
}

/// Converts `count` elements, by vectors: to their accumulator type, or from it.
template <class T>
void widen_elements(const T* from, int64_t count, Accumulator<T>* to) {
  for_each_vector<Accumulator<T>>(count, [=](int64_t i, auto lanes) {
    prefetch_ahead(from + i);
    store(to + i, lanes, load(from + i, lanes));
  });
}
template <class T>
void round_elements(const Accumulator<T>* from, int64_t count, T* to) {
  for_each_vector<Accumulator<T>>(
      count, [=](int64_t i, auto lanes) { store(to + i, lanes, load(from + i, lanes)); });
}

/// Calls body(n, outputs, inputs) for n elements at a time of [0, count): arrays of pointers to them in
/// Accumulator<T>, which are `to` and `from` themselves, all at once, or blocks on the stack. For loops that
/// the compiler makes vectors of, which GCC 12 cannot if they convert 16-bit floats. An output may be one of
/// the inputs.
template <class T, size_t Outputs, size_t Inputs, class Body>
void for_accumulated(int64_t count, const std::array<T*, Outputs>& to,
                     const std::array<const T*, Inputs>& from, Body&& body) {
  using A = Accumulator<T>;
  if constexpr (std::is_same_v<T, A>) {
    body(count, to, from);
  } else {
    constexpr int64_t kBlock = 128;
    A block[Outputs + Inputs][kBlock];
    std::array<A*, Outputs> outputs;
    std::array<const A*, Inputs> inputs;
    for (size_t i = 0; i < Outputs; ++i) outputs[i] = block[i];
    for (size_t i = 0; i < Inputs; ++i) inputs[i] = block[Outputs + i];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t n = std::min(kBlock, count - begin);
      for (size_t i = 0; i < Inputs; ++i) widen_elements(from[i] + begin, n, block[Outputs + i]);
      body(n, outputs, inputs);
      for (size_t i = 0; i < Outputs; ++i) round_elements(outputs[i], n, to[i] + begin);
    }
  }
}

/// y[i] = f(x[i]...) for all elements, computed in Accumulator<T>. y may be one of the inputs.
template <class T, class Function, class... X>
void map_elements(int64_t count, T* y, Function f, const X*... x) {
  static_assert((std::is_same_v<T, X> && ...));
  parallel_for_elements(count, [=](int64_t begin, int64_t end) {
    const auto map = [&](int64_t n, const auto& outputs, const auto& inputs) {
      [&]<size_t... i>(std::index_sequence<i...>) {
        Accumulator<T>* const to = outputs[0];
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) to[j] = f(inputs[i][j]...);
      }
      (std::index_sequence_for<X...>());
    };
    for_accumulated<T, 1, sizeof...(X)>(end - begin, {y + begin}, {(x + begin)...}, map);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
