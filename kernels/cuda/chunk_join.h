#pragma once

#include <algorithm>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/arrival.h"
#include "fovea/kernels/cuda/block_reduce.h"

/// Results of columns from those of chunks of their rows, within the launch that computes these: the last
/// block of a group of chunks joins the group, and the last group's the groups. All in the order of the
/// chunks, whichever block comes last.
namespace fovea::kernels::cuda {

/// Where the blocks of [O, R, I] arrays, in chunks of rows, leave what is to be joined.
class ChunkJoin {
 public:
  ChunkJoin() = default;  // where there is one chunk
  /// `results` numbers for each column and chunk; `slices` blocks beside each other have columns of their
  /// own.
  ChunkJoin(const char* operation, int results, int64_t O, int64_t R, int64_t I, int64_t chunk_rows,
            int64_t chunks, int64_t slices)
      : O_(O), I_(I), rows_(R), chunk_rows_(chunk_rows), chunks_(static_cast<int>(chunks)) {
    if (chunks == 1) return;
    constexpr int64_t kGroup = 24, kMostGroups = 512;
    const int64_t group = std::max(kGroup, (chunks + kMostGroups - 1) / kMostGroups);
    group_ = static_cast<int>(group);
    groups_ = static_cast<int>((chunks + group - 1) / group);
    partial_ =
        Tensor::empty({results, O, lines(), I}, Dtype::f32, Device::cuda(fovea::cuda::current_device()));
    counters_ = arrival_counters(operation, slices * (groups_ + 1));
  }

  /// What a kernel takes.
  struct Plan {
    float* partial;      // [results, O, lines, I]: those of chunks, then those of groups
    unsigned* counters;  // [slices, groups + 1]
    int64_t plane, I;    // plane: numbers between two results of a column
    int64_t rows, chunk_rows;
    int chunks, group, groups, lines;
  };
  Plan plan() {
    return {chunks_ == 1 ? nullptr : partial_.data<float>(),
            counters_,
            O_ * lines() * I_,
            I_,
            rows_,
            chunk_rows_,
            chunks_,
            group_,
            groups_,
            lines()};
  }

 private:
  int lines() const { return chunks_ + (groups_ > 1 ? groups_ : 0); }

  Tensor partial_;
  unsigned* counters_ = nullptr;
  int64_t O_ = 0, I_ = 0, rows_ = 0, chunk_rows_ = 0;
  int chunks_ = 1, group_ = 1, groups_ = 1;
};

/// The part of a thread: its column, and its place among the threads that share the column's chunks.
struct JoinPlace {
  bool has_column;
  int64_t o, i;  // of the column, the first of its numbers
  int slice;     // of the block
  int chunk;     // of the block
  int row, down,
      stride;  // which of `down` threads that share a column, each `stride` threads after the one before
};

/// Sums are joined by adding them up.
template <int kWidth, int kCount>
struct SumJoin {
  static constexpr int kResults = kCount;
  using Results = Floats<kWidth>[kResults];
  struct Origin {};

  __device__ static Origin origin(const Results&) { return {}; }
  __device__ static void add(Origin, const Results& of_chunk, float, Results& sums) {
#pragma unroll
    for (int k = 0; k < kResults; ++k) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sums[k][i] += of_chunk[k][i];
    }
  }
  __device__ static void finish(Origin, const Results& sums, float, Results& joined) {
#pragma unroll
    for (int k = 0; k < kResults; ++k) joined[k] = sums[k];
  }
};

/// For all threads of a block, of which there are kThreads at most: stores the results of the block's chunk,
/// which the threads whose row is 0 have, and joins them with the others'. True in one block of a slice, the
/// last: the results are then those of all rows. `Join` says how it is done:
///   origin(results)                       what the results of the first chunk are good for
///   add(origin, results, rows, sums)      adds those of a chunk of so many rows
///   finish(origin, sums, rows, results)   makes the results of so many rows of the sums
template <class Join, int kThreads, int kWidth>
__device__ inline bool join_chunks(const ChunkJoin::Plan& plan, const JoinPlace& place,
                                   typename Join::Results& results) {
  using Results = typename Join::Results;
  if (plan.chunks == 1) return true;
  float* const own = plan.partial + place.o * plan.lines * plan.I + place.i;
  const auto put = [&](int line) {
    if (!place.has_column || place.row != 0) return;
#pragma unroll
    for (int k = 0; k < Join::kResults; ++k) {
      store_wide(own + k * plan.plane + line * plan.I, results[k]);
    }
  };
  const auto read = [&](int line, Results& of_line) {
#pragma unroll
    for (int k = 0; k < Join::kResults; ++k) {
      of_line[k] = load_wide<kWidth>(own + k * plan.plane + line * plan.I);
    }
  };
  // The results of `unit` rows each, but the last, which stand in the lines from `begin`, number first to
  // last - 1 of their kind.
  const auto join = [&](int begin, int first, int last, int64_t unit) {
    const auto rows_until = [&](int number) {
      const int64_t end = number * unit;
      return end < plan.rows ? end : plan.rows;
    };
    Results sums = {};
    decltype(Join::origin(results)) origin{};
    if (place.has_column) {
      // How many lines are read at once: as many as there are registers for.
      constexpr int kAtOnce = kWidth * Join::kResults > 8 ? 2 : 4;
      Results lines[kAtOnce];
      read(begin + first, lines[0]);
      origin = Join::origin(lines[0]);
#pragma unroll 1
      for (int number = first + place.row; number < last; number += kAtOnce * place.down) {
#pragma unroll
        for (int u = 0; u < kAtOnce; ++u) {
          if (number + u * place.down < last) read(begin + number + u * place.down, lines[u]);
        }
#pragma unroll
        for (int u = 0; u < kAtOnce; ++u) {
          const int line = number + u * place.down;
          if (line >= last) continue;
          Join::add(origin, lines[u], static_cast<float>(rows_until(line + 1) - line * unit), sums);
        }
      }
    }
    sum_thread_rows<kThreads>(sums, place.row, place.down, place.stride);
    Join::finish(origin, sums, static_cast<float>(rows_until(last) - first * unit), results);
  };

  const int group = place.chunk / plan.group, first = group * plan.group;
  const int last = plan.chunks - first > plan.group ? first + plan.group : plan.chunks;
  unsigned* const counters = plan.counters + place.slice * (plan.groups + 1);
  put(place.chunk);
  if (!is_last_to_arrive(counters + group, static_cast<unsigned>(last - first))) return false;
  join(0, first, last, plan.chunk_rows);
  if (plan.groups == 1) return true;
  put(plan.chunks + group);
  if (!is_last_to_arrive(counters + plan.groups, static_cast<unsigned>(plan.groups))) return false;
  join(plan.chunks, 0, plan.groups, plan.chunk_rows * plan.group);
  return true;
}

}  // namespace fovea::kernels::cuda
