#pragma once

#include "fovea/kernels/cuda/block_reduce.h"
#include "fovea/kernels/cuda/pack.h"

/// Rows that belong to a few neighbouring lanes of a warp each: one reads the items lane, lane + lanes, ...
namespace fovea::kernels::cuda {

/// How many lanes share a row of `items` items: a power of two, a warp at most.
inline int lanes_for(int64_t items) {
  int lanes = 1;
  while (lanes < kWarpSize && lanes < items) lanes *= 2;
  return lanes;
}

/// Calls body(row, lane, is_inside) for the rows of this thread's group of lanes, with a stride of the whole
/// grid. The groups of a warp go on together, so that body can exchange numbers between lanes; is_inside is
/// false where the group has no row left.
template <class Body>
__device__ inline void for_each_row_of_group(int64_t rows, int lanes, Body body) {
  const int thread = static_cast<int>(threadIdx.x);
  const int group_of_warp = thread % kWarpSize / lanes;
  const int64_t groups = grid_threads() / lanes;
  for (int64_t row = grid_thread() / lanes; row - group_of_warp < rows; row += groups) {
    body(row, thread % lanes, row < rows);
  }
}

/// Rows of `packs` packs of numbers, each for a group of lanes.
struct PackedRows {
  int64_t rows, packs;
  int lanes;

  PackedRows(int64_t size, int64_t C, int width)
      : rows(size / C), packs(C / width), lanes(lanes_for(packs)) {}
  Grid grid() const { return grid_for(rows * lanes); }
};

/// Calls body(first, end) for the rows of this thread's group: of the array's packs, first, first + lanes,
/// ... below `end` are this lane's. Where the group has no row left there are none.
template <class Body>
__device__ inline void for_each_row_of_group(const PackedRows& shape, Body body) {
  for_each_row_of_group(shape.rows, shape.lanes, [&](int64_t row, int lane, bool is_inside) {
    body(row * shape.packs + lane, is_inside ? (row + 1) * shape.packs : 0);
  });
}

}  // namespace fovea::kernels::cuda
