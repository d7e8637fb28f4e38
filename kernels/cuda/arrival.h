#pragma once

#include <cstdint>

#include "fovea/kernels/cuda/launch.h"

/// How the blocks of a launch find out which of them is the last, so that it joins what all have stored: one
/// launch less, and no waiting. Whatever the order in which blocks arrive, the last one reads the same.
namespace fovea::kernels::cuda {

/// `count` counters on the current device, all 0 whenever no kernel runs there. All launches share them, so
/// that two must not overlap: they follow each other in the one stream of a device. An Error, which begins
/// with `operation`, for more counters than there are.
unsigned* arrival_counters(const char* operation, int64_t count);

/// For all threads of a block after their stores: whether `expected` blocks have come to this counter with
/// this one. The last may read what the others have stored; it sets the counter back to 0.
__device__ inline bool is_last_to_arrive(unsigned* counter, unsigned expected) {
  FOVEA_SHARED(unsigned, is_last, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();  // for the stores of all threads, which the barrier has seen
    const bool is_complete = atomicAdd(counter, 1u) + 1 == expected;
    if (is_complete) *counter = 0;
    is_last[0] = is_complete ? 1 : 0;
    __threadfence();
  }
  __syncthreads();
  return is_last[0] != 0;
}

}  // namespace fovea::kernels::cuda
