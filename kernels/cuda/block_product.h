#pragma once

#include <utility>

#include "fovea/kernels/cuda/tensor_core.h"

/// Products of 16-bit matrices of which a block of threads computes a tile, with what is read of the factors
/// changed on its way.
namespace fovea::kernels::cuda {

inline constexpr int kProductThreads = 256, kProductWarps = kProductThreads / kWarpSize;
inline constexpr int kProductDepth = 32;  // terms of the sums that are added at once

/// A tile of a matrix in shared memory. Its rows are so far apart that the eight that load_matrices reads at
/// once lie in different banks.
template <int kRows, int kColumns>
struct SharedTile {
  static constexpr int kStride = kColumns + 8;
  static constexpr int kSize = kRows * kStride;
  static constexpr int kPacksOfRow = kColumns / 8, kPacks = kRows * kPacksOfRow;
  static constexpr int kPacksOfThread = (kPacks + kProductThreads - 1) / kProductThreads;
  static_assert(kProductThreads % kPacksOfRow == 0, "the packs of a thread are not in one column");
};

/// A factor: tiles of a row-major matrix, with kGoesDown each below the one before, else beside it. What is
/// outside the matrix is 0; the columns are a multiple of 8. `Reader` says what is read, and what becomes of
/// it:
///   read(offset)                  of 8 neighbouring elements, as they are
///   kPart                         how many of them are made of it at once: 4 take fewer registers than 8
///   constants(column)             what so many columns need
///   result(constants, read, part) elements of the factor: the first kPart, or the second
///   keep(offset, result)          what else is to be done with them
template <class T, class Reader, int kRows, int kColumns, bool kGoesDown>
struct Factor {
  using Tile = SharedTile<kRows, kColumns>;
  using Read = decltype(std::declval<Reader>().read(0));
  struct Fetched {
    Read packs[Tile::kPacksOfThread];
  };
  Reader reader;
  int rows, columns;  // of the matrix: what is beyond is 0
  int row, column;    // where the first tile begins

  /// Calls body(i, row in the tile, column in the tile) for the packs of this thread.
  template <class Body>
  __device__ static void for_each_pack(Body body) {
#pragma unroll
    for (int i = 0; i < Tile::kPacksOfThread; ++i) {
      const int pack = static_cast<int>(threadIdx.x) + i * kProductThreads;
      if (Tile::kPacks % kProductThreads == 0 || pack < Tile::kPacks) {
        body(i, pack / Tile::kPacksOfRow, pack % Tile::kPacksOfRow * 8);
      }
    }
  }
  __device__ int row_of(int step, int r) const {
    return row + r + (kGoesDown ? step * kRows : 0);
  }
  __device__ int column_of(int step, int c) const {
    return column + c + (kGoesDown ? 0 : step * kColumns);
  }
  __device__ bool has(int r, int c) const {
    return r < rows && c < columns;
  }

  __device__ Fetched fetch(int step) const {
    Fetched result;
    for_each_pack([&](int i, int r, int c) {
      const int at_row = row_of(step, r), at_column = column_of(step, c);
      if (has(at_row, at_column)) result.packs[i] = reader.read(int64_t{at_row} * columns + at_column);
    });
    return result;
  }
  __device__ void put(int step, const Fetched& fetched, T* tile) const {
    const int own_column = column_of(step, static_cast<int>(threadIdx.x) % Tile::kPacksOfRow * 8);
    if (own_column >= columns) {
      for_each_pack([&](int, int r, int c) { store_pack<8>(tile + r * Tile::kStride + c, Pack<T, 8>{}); });
      return;
    }
    constexpr int kPart = Reader::kPart;
#pragma unroll
    for (int part = 0; part < 8 / kPart; ++part) {
      const auto constants = reader.constants(own_column + part * kPart);
      for_each_pack([&](int i, int r, int c) {
        Pack<T, kPart> pack{};
        if (const int at_row = row_of(step, r); at_row < rows) {
          pack = reader.result(constants, fetched.packs[i], part);
          reader.keep(int64_t{at_row} * columns + own_column + part * kPart, pack);
        }
        store_pack<kPart>(tile + r * Tile::kStride + c + part * kPart, pack);
      });
    }
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
  __device__ void keep(int64_t, const Pack<T, 8>&) const {}
};

/// The tile [kTileM, kTileN] of a * b, in registers. Where the terms of the sums follow each other in the
/// rows of a factor, its tiles go beside each other: they are [kTileM, depth], or [kTileN, depth]. Where they
/// follow each other in the columns, they go down: [depth, kTileM], or [depth, kTileN].
template <class T, int kTileM_, int kTileN_, bool kAGoesDown, bool kBGoesDown>
struct BlockProduct {
  static constexpr int kTileM = kTileM_, kTileN = kTileN_;
  /// So that a warp's part is 32x32 where the tile has as much, and 16 wide or high at least.
  static constexpr int kWarpsN = kTileM <= 32    ? kProductWarps
                                 : kTileN == 128 ? 4
                                 : kTileN == 64  ? 2
                                 : kTileM == 64  ? 2
                                                 : 1;
  static constexpr int kWarpsM = kProductWarps / kWarpsN;
  static constexpr int kPartM = kTileM / kWarpsM, kPartN = kTileN / kWarpsN;  // of a warp
  static constexpr int kBlocksM = kPartM / 16, kBlocksN = kPartN / 8;         // of multiply_add
  static_assert(kPartM % 16 == 0 && kPartN % 16 == 0 && kWarpsM * kWarpsN == kProductWarps);

  using TileA =
      std::conditional_t<kAGoesDown, SharedTile<kProductDepth, kTileM>, SharedTile<kTileM, kProductDepth>>;
  using TileB =
      std::conditional_t<kBGoesDown, SharedTile<kProductDepth, kTileN>, SharedTile<kTileN, kProductDepth>>;
  template <class Reader>
  using FactorA = std::conditional_t<kAGoesDown, Factor<T, Reader, kProductDepth, kTileM, true>,
                                     Factor<T, Reader, kTileM, kProductDepth, false>>;
  template <class Reader>
  using FactorB = std::conditional_t<kBGoesDown, Factor<T, Reader, kProductDepth, kTileN, true>,
                                     Factor<T, Reader, kTileN, kProductDepth, false>>;
  /// The result as T.
  using TileC = SharedTile<kTileM, kTileN>;
  static constexpr int kStage = TileA::kSize + TileB::kSize;
  static constexpr int kShared = 2 * kStage > TileC::kSize ? 2 * kStage : TileC::kSize;  // elements

  float sums[kBlocksM][kBlocksN][4];

  /// The first row and column of this warp's part.
  __device__ static int warp_row() { return static_cast<int>(threadIdx.x) / kWarpSize / kWarpsN * kPartM; }
  __device__ static int warp_column() { return static_cast<int>(threadIdx.x) / kWarpSize % kWarpsN * kPartN; }

  /// Computes the product over `steps` steps of kProductDepth terms, at least one. While one is multiplied,
  /// the next is on its way from memory. Afterwards nobody reads `shared` any more.
  template <class A, class B>
  __device__ void compute(const A& a, const B& b, int steps, T* shared) {
#pragma unroll
    for (int m = 0; m < kBlocksM; ++m) {
#pragma unroll
      for (int n = 0; n < kBlocksN; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[m][n][i] = 0;
      }
    }
    auto next_a = a.fetch(0);
    auto next_b = b.fetch(0);
    a.put(0, next_a, shared);
    b.put(0, next_b, shared + TileA::kSize);
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
      T* const now = shared + step % 2 * kStage;
      T* const other = shared + (step + 1) % 2 * kStage;
      const bool has_next = step + 1 < steps;
      if (has_next) {
        next_a = a.fetch(step + 1);
        next_b = b.fetch(step + 1);
      }
      add_product(now, now + TileA::kSize);
      if (has_next) {
        b.put(step + 1, next_b, other + TileA::kSize);
        a.put(step + 1, next_a, other);
      }
      __syncthreads();
    }
  }

  /// Adds what one step gives.
  __device__ void add_product(const T* a, const T* b) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane % 8, matrix = lane / 8;
#pragma unroll
    for (int k = 0; k < kProductDepth; k += 16) {
      unsigned of_b[kBlocksN][2];
#pragma unroll
      for (int n = 0; n < kBlocksN; n += 2) {
        const int column = warp_column() + 8 * n;
        unsigned parts[4];
        load_matrices<kBGoesDown>(
            kBGoesDown ? b + (k + matrix % 2 * 8 + line) * TileB::kStride + column + matrix / 2 * 8
                       : b + (column + matrix / 2 * 8 + line) * TileB::kStride + k + matrix % 2 * 8,
            parts);
        of_b[n][0] = parts[0];
        of_b[n][1] = parts[1];
        of_b[n + 1][0] = parts[2];
        of_b[n + 1][1] = parts[3];
      }
#pragma unroll
      for (int m = 0; m < kBlocksM; ++m) {
        const int row = warp_row() + 16 * m;
        unsigned of_a[4];
        load_matrices<kAGoesDown>(
            kAGoesDown ? a + (k + matrix / 2 * 8 + line) * TileA::kStride + row + matrix % 2 * 8
                       : a + (row + matrix % 2 * 8 + line) * TileA::kStride + k + matrix / 2 * 8,
            of_a);
#pragma unroll
        for (int n = 0; n < kBlocksN; ++n) multiply_add<T>(of_a, of_b[n][0], of_b[n][1], sums[m][n]);
      }
    }
  }

  /// Calls store(row, column, first, second) for pairs of neighbours in the tile.
  template <class Store>
  __device__ void for_each_pair(Store store) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
    for (int m = 0; m < kBlocksM; ++m) {
#pragma unroll
      for (int n = 0; n < kBlocksN; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          store(warp_row() + 16 * m + 8 * half + lane / 4, warp_column() + 8 * n + lane % 4 * 2,
                sums[m][n][2 * half], sums[m][n][2 * half + 1]);
        }
      }
    }
  }

  /// Rounds the tile into shared memory, as TileC, which all threads see afterwards.
  __device__ void store_rounded(T* shared) const {
    for_each_pair([&](int row, int column, float first, float second) {
      store<2>(shared + row * TileC::kStride + column, Floats<2>{{first, second}});
    });
    __syncthreads();
  }
};

/// Calls body(row, column, pack) for the packs of this thread of a tile in shared memory: all in one column.
template <class Tile, class T, class Body>
__device__ inline void for_each_pack_of_tile(const T* shared, Body body) {
  static_assert(Tile::kPacks % kProductThreads == 0);
#pragma unroll
  for (int i = 0; i < Tile::kPacksOfThread; ++i) {
    const int number = static_cast<int>(threadIdx.x) + i * kProductThreads;
    const int row = number / Tile::kPacksOfRow, column = number % Tile::kPacksOfRow * 8;
    body(row, column, load_pack<8>(shared + row * Tile::kStride + column));
  }
}

/// Where the threads of a block have sums over some rows of a tile with kTileN columns, those of a thread for
/// the columns of its pack in for_each_pack_of_tile: leaves in thread n < kTileN the sums of column n over
/// all rows, added as a tree. `shared` has room for kProductWarps * kSums * kTileN numbers, and nobody reads
/// it.
template <int kTileN, int kSums>
__device__ inline void sum_tile_columns(const Floats<8> (&sums)[kSums], float* shared,
                                        float (&total)[kSums]) {
  constexpr int kPacksOfRow = kTileN / 8;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, warp = thread / kWarpSize;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float sum = sums[s][i];
#pragma unroll
      for (int step = kWarpSize / 2; step >= kPacksOfRow; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
      }
      if (lane < kPacksOfRow) shared[(warp * kSums + s) * kTileN + 8 * lane + i] = sum;
    }
  }
  __syncthreads();
  if (thread >= kTileN) return;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    total[s] = 0;
    for (int w = 0; w < kProductWarps; ++w) total[s] += shared[(w * kSums + s) * kTileN + thread];
  }
}

}  // namespace fovea::kernels::cuda
