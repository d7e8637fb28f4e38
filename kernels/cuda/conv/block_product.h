#pragma once

#include <utility>

#include "fovea/kernels/cuda/conv/tile_product.h"

/// Products of 16-bit matrices of which a block of threads computes a tile, with what is read of the factors
/// changed on its way.
namespace fovea::kernels::cuda {

inline constexpr int kProductDepth = 32;  // terms of the sums that are added at once

/// A factor: tiles of a row-major matrix, with kGoesDown each below the one before, else beside it. What is
/// outside the matrix is 0; the columns are a multiple of 8. `Reader` says what is read, and what becomes of
/// it:
///   read(offset)                  of 8 neighbouring elements, as they are
///   kPart                         how many of them are made of it at once: 4 take fewer registers than 8
///   constants(column)             what so many columns need
///   result(constants, read, part) elements of the factor: the first kPart, or the second
template <class T, class Reader, class Tile, bool kGoesDown>
struct Factor {
  using Read = decltype(std::declval<Reader>().read(0));
  struct Fetched {
    Read packs[Tile::kPacksOfThread];
  };
  Reader reader;
  int rows, columns;  // of the matrix: what is beyond is 0
  int row, column;    // where the first tile begins

  __device__ int row_of(int step, int r) const { return row + r + (kGoesDown ? step * Tile::kRows : 0); }
  __device__ int column_of(int step, int c) const {
    return column + c + (kGoesDown ? 0 : step * Tile::kColumns);
  }

  __device__ Fetched fetch(int step) const {
    Fetched result;
    const int own_row = row_of(step, Tile::own_row()), own_column = column_of(step, Tile::own_column());
    const int64_t first = int64_t{own_row} * columns + own_column;
    if (own_column < columns) {
      Tile::for_each_pack([&](int i, int, int) {
        if (own_row + i * Tile::kRowsBetween < rows) {
          result.packs[i] = reader.read(first + i * Tile::kRowsBetween * columns);
        }
      });
    }
    return result;
  }
  __device__ void put(int step, const Fetched& fetched, T* tile) const {
    const int own_column = column_of(step, Tile::own_column());
    if (own_column >= columns) {
      Tile::for_each_pack(
          [&](int, int r, int c) { store_pack<8>(tile + r * Tile::kStride + c, Pack<T, 8>{}); });
      return;
    }
    constexpr int kPart = Reader::kPart;
    Pack<T, 8> packs[Tile::kPacksOfThread] = {};
#pragma unroll
    for (int part = 0; part < 8 / kPart; ++part) {
      const auto constants = reader.constants(own_column + part * kPart);
      Tile::for_each_pack([&](int i, int r, int) {
        if (row_of(step, r) < rows)
          set_part(packs[i], part, reader.result(constants, fetched.packs[i], part));
      });
    }
    Tile::for_each_pack([&](int i, int r, int c) { store_pack<8>(tile + r * Tile::kStride + c, packs[i]); });
  }
};

/// A factor as it lies in memory.
template <class T>
struct PlainReader {
  const T* data;

  static constexpr int kPart = 8;
  struct Constants {};
  __device__ Pack<T, 8> read(int64_t offset) const { return load_pack<8>(data + offset); }
  __device__ Constants constants(int64_t) const { return {}; }
  __device__ Pack<T, 8> result(Constants, const Pack<T, 8>& pack, int) const { return pack; }
};

/// The tile [kTileM, kTileN] of a * b, in registers. The terms of the sums follow each other in the rows of
/// the first factor, whose tiles, [kTileM, depth], go beside each other; those of the second do so, too,
/// [kTileN, depth], or go down, [depth, kTileN], where kBDown.
template <class T, int kTileM, int kTileN, bool kBDown>
struct BlockProduct : TileProduct<T, kTileM, kTileN, kProductDepth, /*kADown=*/false, kBDown> {
  using Base = TileProduct<T, kTileM, kTileN, kProductDepth, false, kBDown>;
  using typename Base::TileA, typename Base::TileB, typename Base::TileC;
  template <class Reader>
  using FactorA = Factor<T, Reader, TileA, /*kGoesDown=*/false>;
  template <class Reader>
  using FactorB = Factor<T, Reader, TileB, kBDown>;
  static constexpr int kStage = TileA::kSize + TileB::kSize;
  /// What `stream` takes of shared memory, in elements: two stages, and a result.
  static constexpr int kResult = 2 * kStage, kShared = kResult + TileC::kSize;

  /// Computes tiles below each other, from the row of `a` to row `end`, at least one, each over `steps` steps
  /// of kProductDepth terms, at least one. While one step is multiplied, the next is on its way from memory,
  /// also that of the next tile. prepare() is called while the first is, and what it leaves in shared memory
  /// the readers find; read_more(row) is called before the last step of the tile that begins with this row is
  /// multiplied, finish(row, result) when all threads find the tile, rounded, as TileC. Afterwards nobody
  /// reads `shared` any more.
  template <class A, class B, class Prepare, class ReadMore, class Finish>
  __device__ void stream(A a, const B& b, int steps, int end, T* shared, Prepare prepare, ReadMore read_more,
                         Finish finish) {
    T* const result = shared + kResult;
    T *now = shared, *other = shared + kStage;
    auto next_a = a.fetch(0);
    auto next_b = b.fetch(0);
    prepare();
    __syncthreads();
    a.put(0, next_a, now);
    b.put(0, next_b, now + TileA::kSize);
    __syncthreads();
    this->clear();
    int step = 0;
#pragma unroll 1
    while (a.row < end) {
      const int row = a.row;
      const bool ends_tile = step + 1 == steps, ends = ends_tile && end - row <= TileA::kRows;
      step = ends_tile ? 0 : step + 1;
      if (ends_tile) a.row += TileA::kRows;
      if (!ends) {
        next_a = a.fetch(step);
        next_b = b.fetch(step);
      }
      if (ends_tile) read_more(row);
      this->add(now, now + TileA::kSize);
      if (!ends) {
        b.put(step, next_b, other + TileA::kSize);
        a.put(step, next_a, other);
      }
      if (ends_tile) {
        this->store_rounded(result);
        this->clear();
      }
      __syncthreads();
      std::swap(now, other);
      if (!ends_tile) continue;
      finish(row, result);
      __syncthreads();
    }
  }
};

/// Where the threads of a block have sums over some rows of a tile with kTileN columns, those of a thread for
/// the columns of its packs: leaves in thread n < kTileN the sums of column n over all rows, added as a tree.
/// `shared` has room for kProductWarps * kSums * kTileN numbers, and nobody reads it.
template <int kTileN, int kSums>
__device__ inline void sum_tile_columns(const Floats<8> (&sums)[kSums], float* shared,
                                        Floats<1> (&total)[kSums]) {
  constexpr int kPacksOfRow = kTileN / 8;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, warp = thread / kWarpSize;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float sum = sums[s][i];
#pragma unroll
      for (int step = kWarpSize / 2; step >= kPacksOfRow; step /= 2) {
        sum += __shfl_xor_sync(kAllLanes, sum, step);
      }
      if (lane < kPacksOfRow) shared[(warp * kSums + s) * kTileN + 8 * lane + i] = sum;
    }
  }
  __syncthreads();
  if (thread >= kTileN) return;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    total[s][0] = 0;
    for (int w = 0; w < kProductWarps; ++w) total[s][0] += shared[(w * kSums + s) * kTileN + thread];
  }
}

}  // namespace fovea::kernels::cuda
