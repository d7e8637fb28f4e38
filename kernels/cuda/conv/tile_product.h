#pragma once

#include "fovea/kernels/cuda/conv/tensor_core.h"

namespace fovea::kernels::cuda {

/// Threads of a block that multiplies.
inline constexpr int kProductThreads = 256, kProductWarps = kProductThreads / kWarpSize;

/// multiply_add_16, put together from products of 8 terms where a device has no others: of f16 alone.
template <class T>
__device__ inline void multiply_add(const unsigned (&a)[4], unsigned b_upper, unsigned b_lower,
                                    float (&c)[4]) {
  if (has_products_of_16() || std::is_same_v<T, bf16>) {
    multiply_add_16<T>(a, b_upper, b_lower, c);
  } else {
    multiply_add_8(a[0], a[1], b_upper, c);
    multiply_add_8(a[2], a[3], b_lower, c);
  }
}

/// A tile of a matrix in shared memory. Its rows are so far apart that the eight that load_matrices reads at
/// once lie in different banks.
template <int kRows_, int kColumns_>
struct SharedTile {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kStride = kColumns + 8;
  static constexpr int kSize = kRows * kStride;  // elements
  static constexpr int kPacksOfRow = kColumns / 8, kPacks = kRows * kPacksOfRow;
  static constexpr int kPacksOfThread = (kPacks + kProductThreads - 1) / kProductThreads;
  static_assert(kProductThreads % kPacksOfRow == 0, "the packs of a thread are not in one column");

  /// How many rows the packs of a thread are apart, the row of this thread's first, and the column of all.
  static constexpr int kRowsBetween = kProductThreads / kPacksOfRow;
  __device__ static int own_row() { return static_cast<int>(threadIdx.x) / kPacksOfRow; }
  __device__ static int own_column() { return static_cast<int>(threadIdx.x) % kPacksOfRow * 8; }
  /// Calls body(i, row, column) for the packs of this thread, all of them in one column.
  template <class Body>
  __device__ static void for_each_pack(Body body) {
#pragma unroll
    for (int i = 0; i < kPacksOfThread; ++i) {
      const int pack = static_cast<int>(threadIdx.x) + i * kProductThreads;
      if (kPacks % kProductThreads == 0 || pack < kPacks) {
        body(i, pack / kPacksOfRow, pack % kPacksOfRow * 8);
      }
    }
  }
};

/// How many of the warps share a tile [M, N] along its columns, so that their parts, of 16 x 16 at least, are
/// as square as can be, for which the least is read, and rather high than wide.
constexpr int warps_across(int M, int N) {
  const int parts = M / 16 * (N / 16), warps = parts < kProductWarps ? parts : kProductWarps;
  int best = 0;
  for (int across = 1; across <= warps; across *= 2) {
    const int down = warps / across;
    if (M % (16 * down) != 0 || N % (16 * across) != 0) continue;
    if (best == 0 || M / down + N / across <= M / (warps / best) + N / best) best = across;
  }
  return best;
}

/// The product of tiles in shared memory, [kTileM, kDepth] and [kDepth, kTileN], in the registers of the
/// block's warps. The tiles are rows of 16-bit elements: of the first factor [kTileM, kDepth], or [kDepth,
/// kTileM] where kADown; of the second [kTileN, kDepth], or [kDepth, kTileN] where kBDown. (What goes down
/// has its terms below each other.)
template <class T, int kTileM, int kTileN, int kDepth, bool kADown, bool kBDown>
class TileProduct {
 public:
  using TileA = std::conditional_t<kADown, SharedTile<kDepth, kTileM>, SharedTile<kTileM, kDepth>>;
  using TileB = std::conditional_t<kBDown, SharedTile<kDepth, kTileN>, SharedTile<kTileN, kDepth>>;
  /// The result, rounded to T.
  using TileC = SharedTile<kTileM, kTileN>;
  static constexpr int kWarps = std::min(kProductWarps, kTileM / 16 * (kTileN / 16));  // that have a part
  static constexpr int kWarpsN = warps_across(kTileM, kTileN), kWarpsM = kWarps / kWarpsN;
  static constexpr int kPartM = kTileM / kWarpsM, kPartN = kTileN / kWarpsN;  // of a warp
  static constexpr int kBlocksM = kPartM / 16, kBlocksN = kPartN / 8;         // of multiply_add
  static_assert(kWarpsN > 0 && kDepth % 16 == 0);

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarpSize; }
  __device__ static bool has_part() { return kWarps == kProductWarps || warp() < kWarps; }
  /// The first row and column of this warp's part.
  __device__ static int warp_row() { return warp() / kWarpsN * kPartM; }
  __device__ static int warp_column() { return warp() % kWarpsN * kPartN; }
  /// The first of the two neighbouring columns that this thread has in block n of its warp's part.
  __device__ static int column_of(int n) {
    return warp_column() + 8 * n + static_cast<int>(threadIdx.x) % 4 * 2;
  }
  /// The row that it has in the upper (0) or lower (1) half of block m.
  __device__ static int row_of(int m, int half) {
    return warp_row() + 16 * m + 8 * half + static_cast<int>(threadIdx.x) % kWarpSize / 4;
  }

  __device__ void clear() {
#pragma unroll
    for (int m = 0; m < kBlocksM; ++m) {
#pragma unroll
      for (int n = 0; n < kBlocksN; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums_[m][n][i] = 0;
      }
    }
  }

  /// Adds the product of a tile and another.
  __device__ void add(const T* a, const T* b) {
    if (!has_part()) return;
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane % 8, matrix = lane / 8;
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      unsigned of_b[kBlocksN][2];
#pragma unroll
      for (int n = 0; n < kBlocksN; n += 2) {
        const int column = warp_column() + 8 * n;
        unsigned parts[4];
        load_matrices<kBDown>(
            kBDown ? b + (k + matrix % 2 * 8 + line) * TileB::kStride + column + matrix / 2 * 8
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
        load_matrices<kADown>(kADown
                                  ? a + (k + matrix / 2 * 8 + line) * TileA::kStride + row + matrix % 2 * 8
                                  : a + (row + matrix % 2 * 8 + line) * TileA::kStride + k + matrix / 2 * 8,
                              of_a);
#pragma unroll
        for (int n = 0; n < kBlocksN; ++n) multiply_add<T>(of_a, of_b[n][0], of_b[n][1], sums_[m][n]);
      }
    }
  }

  /// Calls body(n, row, column, first, second) for this thread's pairs of neighbours, those of a block of
  /// columns after each other.
  template <class Body>
  __device__ void for_each_pair(Body body) const {
    if (!has_part()) return;
#pragma unroll
    for (int n = 0; n < kBlocksN; ++n) {
#pragma unroll
      for (int m = 0; m < kBlocksM; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          body(n, row_of(m, half), column_of(n), sums_[m][n][2 * half], sums_[m][n][2 * half + 1]);
        }
      }
    }
  }

  /// Rounds the tile into shared memory, as TileC.
  __device__ void store_rounded(T* shared) const {
    for_each_pair([&](int, int row, int column, float first, float second) {
      store<2>(shared + row * TileC::kStride + column, Floats<2>{{first, second}});
    });
  }

 private:
  float sums_[kBlocksM][kBlocksN][4];
};

}  // namespace fovea::kernels::cuda
