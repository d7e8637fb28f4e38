#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/grouped_chunks.h"
#include "fovea/kernels/cpu/vec.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Calls body(row) for each of `rows` rows of work, in parallel where there is enough of it: `cost` says
/// about how many elements one row reads or writes.
template <class Body>
void parallel_for_rows(int64_t rows, int64_t cost, Body&& body) {
  constexpr int64_t kCostPerThread = 32768;  // waking a thread costs as much as some ten thousand elements
  const int64_t grain = std::max<int64_t>(1, kCostPerThread / std::max<int64_t>(cost, 1));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

/// Calls body(c, lanes) for the vectors that cover the channels [0, C): `lanes` channels from c on, AllLanes
/// in all but the last.
template <class A, class Body>
inline void for_each_vector(int64_t C, Body&& body) {
  int64_t c = 0;
  for (; c + kLanes<A> <= C; c += kLanes<A>) body(c, AllLanes<A>());
  if (c < C) body(c, static_cast<int>(C - c));
}

/// total = the sum of `groups` arrays of `count` numbers, at most kBatchGroups, by pairs.
inline void add_groups(int64_t groups, int64_t count, const float* partials, float* total) {
  parallel_for(count, 16384, [&](int64_t begin, int64_t end) {
    for_each_vector<float>(end - begin, [&](int64_t i, auto lanes) {
      const auto part_of = [&](int64_t group) { return load(partials + group * count + begin + i, lanes); };
      store(total + begin + i, lanes, sum_by_pairs<Vec<float>>(groups, part_of));
    });
  });
}

/// Asks for memory that will be read soon, where a loop over a window reads several rows of an image at once:
/// the processor foresees one row, not several (measured: max-pooling is twice as fast).
template <class T>
inline void prefetch(const T* data, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(data + i);
}

/// The same for a pass through memory that is read or written once: what comes 8 KB later. The processor's
/// own foresight keeps fewer requests under way (measured on Zen 5: one thread reads 28 instead of 23 GB/s,
/// and a training step of attention92 takes 3.5% less).
template <class T>
inline void prefetch_ahead(const T* data) {
  __builtin_prefetch(reinterpret_cast<const char*>(data) + 8192);
}
template <class T>
inline void prefetch_ahead_to_write(T* data) {
  __builtin_prefetch(reinterpret_cast<char*>(data) + 8192, /*rw=*/1);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
