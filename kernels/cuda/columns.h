#pragma once

#include "fovea/kernels/cuda/chunk_join.h"
#include "fovea/kernels/cuda/images.h"

/// Work along the columns of [O, R, I] arrays, a pack of numbers wide: [1, N * H * W, C] in batch norm,
/// [N, H * W, C] where each image counts for itself.
namespace fovea::kernels::cuda {

inline constexpr int kColumnThreads = 256;
inline constexpr int kColumnBlocks = 3;  // that fit on a multiprocessor, at least

/// How the work is shared out: a block takes `across` neighbouring columns and one chunk of their rows, a
/// thread every `down`-th row of one column, so that what it needs of its channels stays in registers. All of
/// it follows from the shape and the width of a pack, so that sums have the same bits on every device.
struct Columns {
  int64_t O, R, I;
  int64_t chunk_rows, chunks;  // blocks below each other
  int across, down;            // threads of a block
  bool is_narrow;              // whether a row is one pack
  unsigned columns;            // packs of all rows beside each other
  Divisor packs;               // of a row
  Divisor slices;              // blocks beside each other
  Divisor neighbours;          // threads that follow each other in memory
  Divisor rows_between;        // down

  /// An Error, which begins with `operation`, if the columns are too many to be numbered in 31 bits.
  Columns(const char* operation, int64_t O_, int64_t R_, int64_t I_, int width) : O(O_), R(R_), I(I_) {
    constexpr int64_t kBlocks = 132 * kColumnBlocks;      // as many as an H100 runs at once
    constexpr int64_t kFewestRows = 4, kMostRows = 1024;  // of a thread, where rows are split
    const int64_t row_packs = std::max<int64_t>(I / width, 1), count = O * row_packs;
    check(count < int64_t{1} << 31, operation, ": ", count, " packs of ", width,
          " columns are too many for one launch on a CUDA device, wanted less than 2^31; split the batch");
    is_narrow = row_packs == 1;
    // Threads beside each other read at least 128 bytes, if there are as many.
    const int64_t most_down = is_narrow ? kColumnThreads : width == 1 ? 4 : 16;
    const int64_t most_across = kColumnThreads / std::clamp<int64_t>(rounded_up(R, 4), 1, most_down);
    const int64_t beside = std::max<int64_t>(rounded_up(count, most_across), 1);
    across = static_cast<int>(std::max<int64_t>(rounded_up(count, beside), 1));
    down = static_cast<int>(std::clamp<int64_t>(R, 1, kColumnThreads / across));
    const int64_t share = rounded_up(R, std::max<int64_t>(kBlocks / beside, 1));
    chunk_rows = std::clamp<int64_t>(share, kFewestRows * down, kMostRows * down);
    chunks = std::max<int64_t>(rounded_up(R, chunk_rows), 1);
    columns = static_cast<unsigned>(count);
    packs = Divisor(row_packs);
    slices = Divisor(beside);
    neighbours = Divisor(is_narrow ? down : across);
    rows_between = Divisor(down);
  }

  Grid grid() const {
    return {dim3(static_cast<unsigned>(slices.divisor() * chunks)),
            dim3(static_cast<unsigned>(across * down))};
  }
  /// For `results` results of a column.
  ChunkJoin join(const char* operation, int results) const {
    return {operation, results, O, R, I, chunk_rows, chunks, slices.divisor()};
  }

 private:
  static int64_t rounded_up(int64_t count, int64_t divisor) { return (count + divisor - 1) / divisor; }
};

/// The part of a thread.
struct ColumnPart {
  bool has_column;  // whether there is any
  int64_t o, i;     // its column: the first of the pack's numbers
  int slice;        // of the block
  int64_t chunk;    // the block's rows: [begin, end)
  int64_t begin, end;
  int row;     // the thread's own: begin + row, begin + row + down, ...
  int stride;  // from the thread of one row to that of the next

  __device__ ColumnPart(const Columns& columns, int width) {
    // The neighbour in memory is the next thread: that of the next row where a row is one pack.
    const unsigned above = columns.neighbours.quotient(threadIdx.x);
    const unsigned within = threadIdx.x - above * columns.neighbours.divisor();
    stride = columns.is_narrow ? 1 : columns.across;
    row = static_cast<int>(columns.is_narrow ? within : above);
    chunk = columns.slices.quotient(blockIdx.x);
    slice = static_cast<int>(blockIdx.x - static_cast<unsigned>(chunk) * columns.slices.divisor());
    const unsigned column =
        static_cast<unsigned>(slice * columns.across) + (columns.is_narrow ? above : within);
    has_column = column < columns.columns;
    o = columns.packs.quotient(column);
    i = int64_t{column - static_cast<unsigned>(o) * columns.packs.divisor()} * width;
    begin = chunk * columns.chunk_rows;
    end = begin + columns.chunk_rows < columns.R ? begin + columns.chunk_rows : columns.R;
  }
  /// Where row r of the column lies in an array [O, rows, I].
  __device__ int64_t offset(int64_t r, int64_t rows, int64_t I) const { return (o * rows + r) * I + i; }
};

/// Where there is nothing to keep of a column, or to read of a row.
struct Nothing {};

/// What the backward passes of a normalisation read of a row.
template <class T, int kWidth>
struct Gradients {
  Pack<T, kWidth> dy, x;
};

/// The base of terms and maps that read these.
template <class T, int kWidth>
struct GradientReader {
  const T *dy, *x;  // [O, R, I]

  __device__ Gradients<T, kWidth> read(int64_t offset) const {
    return {load_pack<kWidth>(dy + offset), load_pack<kWidth>(x + offset)};
  }
};

/// Calls visit(offset, u) for the thread's rows, after load(offset, u) for kAtOnce of them, u = 0 to kAtOnce
/// - 1, so that as many loads are under way.
template <int kAtOnce, class Load, class Visit>
__device__ inline void for_each_row(const Columns& columns, const ColumnPart& part, Load load, Visit visit) {
  const int64_t first = part.begin + part.row, step = columns.down * columns.I;
  // The chunk's rows that are left for this thread: at most 1024; 0 beyond the chunk's end.
  int left = static_cast<int>(
      columns.rows_between.quotient(static_cast<unsigned>(part.end - first + columns.down - 1)));
#pragma unroll 1  // the loops inside are: enough is under way
  for (int64_t offset = part.offset(first, columns.R, columns.I); left > 0; left -= kAtOnce) {
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      if (u < left) load(offset + u * step, u);
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      if (u < left) visit(offset + u * step, u);
    }
    offset += kAtOnce * step;
  }
}

/// Sums over the rows. A block takes some columns and one chunk, a thread some of its rows; one pass over
/// what terms.read reads. `Terms` says what is summed:
///   kSums, kAtOnce                            sums of each column, and rows that are read at once
///   constants(part, columns)                  what a thread keeps of its column
///   read(offset)                              what it reads of a row
///   add(constants, row, sums)                 adds the terms of a row that it has read
///   Join                                      how the results of chunks become those of all rows
///   finish(part, constants, sums, results)    makes the results of a chunk
///   store(part, columns, results)             stores those of all rows
template <int kWidth, class Terms>
__global__ void __launch_bounds__(kColumnThreads, kColumnBlocks)
    column_sums_kernel(Columns columns, Terms terms, ChunkJoin::Plan plan) {
  using Join = typename Terms::Join;
  const ColumnPart part(columns, kWidth);
  Floats<kWidth> sums[Terms::kSums] = {};
  decltype(terms.constants(part, columns)) constants;
  if (part.has_column) {
    constants = terms.constants(part, columns);
    decltype(terms.read(0)) loaded[Terms::kAtOnce];
    for_each_row<Terms::kAtOnce>(
        columns, part, [&](int64_t offset, int u) { loaded[u] = terms.read(offset); },
        [&](int64_t, int u) { terms.add(constants, loaded[u], sums); });
  }
  sum_thread_rows<kColumnThreads>(sums, part.row, columns.down, part.stride);
  typename Join::Results results;
  if (part.has_column && part.row == 0) terms.finish(part, constants, sums, results);
  const JoinPlace place{part.has_column, part.o,       part.i,     part.slice, static_cast<int>(part.chunk),
                        part.row,        columns.down, part.stride};
  if (!join_chunks<Join, kColumnThreads, kWidth>(plan, place, results)) return;
  if (part.has_column && part.row == 0) terms.store(part, columns, results);
}

/// Launches it.
template <int kWidth, class Terms>
void sum_columns_of(const char* operation, const Columns& columns, const Terms& terms) {
  ChunkJoin join = columns.join(operation, Terms::Join::kResults);
  launch(operation, column_sums_kernel<kWidth, Terms>, columns.grid(), columns, terms, join.plan());
}

/// Element by element: a block takes some columns and one chunk of their rows, a thread some of its rows: for
/// each map.write(constants, row, offset) after map.read(offset). One pass over what these read and write.
template <int kWidth, class Map>
__global__ void __launch_bounds__(kColumnThreads, kColumnBlocks)
    map_columns_kernel(Columns columns, Map map) {
  const ColumnPart part(columns, kWidth);
  if (!part.has_column) return;
  const auto constants = map.constants(part, columns);
  decltype(map.read(0)) loaded[Map::kAtOnce];
  for_each_row<Map::kAtOnce>(
      columns, part, [&](int64_t offset, int u) { loaded[u] = map.read(offset); },
      [&](int64_t offset, int u) { map.write(constants, loaded[u], offset); });
}

}  // namespace fovea::kernels::cuda
