#pragma once

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

/// Sums and largest numbers over the lanes of a warp and the threads of a block, always in the same order.
namespace fovea::kernels::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

/// The sum over each group of `lanes` neighbouring lanes, a power of two: the same bits in all of them. All
/// lanes of the warp take part.
__device__ inline float group_sum(float x, int lanes = kWarpSize) {
  for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
  return x;
}

/// The largest in each group of lanes, likewise; what is not a number does not count.
__device__ inline float group_max(float x, int lanes = kWarpSize) {
  for (int step = lanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

/// The sum over the block's kThreads threads, a multiple of a warp: the same bits in all of them.
template <int kThreads>
__device__ inline float block_sum(float x) {
  FOVEA_SHARED(float, warps, kThreads / kWarpSize);
  const int thread = static_cast<int>(threadIdx.x);
  x = group_sum(x);
  if (thread % kWarpSize == 0) warps[thread / kWarpSize] = x;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < kThreads / kWarpSize; ++warp) total += warps[warp];
  __syncthreads();  // before a second call writes
  return total;
}

/// Where `rows` threads, `stride` apart, have sums of the same kind: leaves their total in the thread whose
/// row is 0, added as a tree. Called by all threads of a block, of which there are kThreads at most.
template <int kThreads, int kSums, int kWidth>
__device__ inline void sum_thread_rows(Floats<kWidth> (&sums)[kSums], int row, int rows, int stride) {
  FOVEA_SHARED(float, shared, kThreads* kSums* kWidth);
  float* const own = shared + threadIdx.x;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) own[(s * kWidth + i) * kThreads] = sums[s][i];
  }
  for (int left = rows; left > 1;) {
    const int half = (left + 1) / 2;
    __syncthreads();
    if (row + half < left) {
#pragma unroll
      for (int s = 0; s < kSums; ++s) {
#pragma unroll
        for (int i = 0; i < kWidth; ++i) {
          float* const slot = own + (s * kWidth + i) * kThreads;
          *slot = sums[s][i] += slot[half * stride];
        }
      }
    }
    left = half;
  }
}

}  // namespace fovea::kernels::cuda
