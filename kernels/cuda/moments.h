#pragma once

#include "fovea/kernels/cuda/columns.h"

namespace fovea::kernels::cuda {

/// Mean and biased variance of all rows, from those of chunks; differences are from the mean of the first.
template <int kWidth>
struct MomentJoin {
  static constexpr int kResults = 2;
  using Results = Floats<kWidth>[kResults];  // mean, variance

  __device__ static Floats<kWidth> origin(const Results& first) { return first[0]; }
  __device__ static void add(const Floats<kWidth>& origin, const Results& of_chunk, float rows,
                             Results& sums) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float difference = of_chunk[0][i] - origin[i];
      sums[0][i] += rows * difference;
      sums[1][i] += rows * (of_chunk[1][i] + difference * difference);
    }
  }
  __device__ static void finish(const Floats<kWidth>& origin, const Results& sums, float rows,
                                Results& joined) {
    const float share = 1.0f / rows;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float shift = sums[0][i] * share;
      joined[0][i] = origin[i] + shift;
      const float variance = sums[1][i] * share - shift * shift;
      joined[1][i] = variance < 0.0f ? 0.0f : variance;  // by rounding
    }
  }
};

/// Adds a row to sums of differences from `origin`, such as the first row of a chunk, and of their squares: a
/// large mean does not cancel the variance.
template <class T, int kWidth>
__device__ inline void add_moments(const Floats<kWidth>& origin, const Pack<T, kWidth>& row,
                                   Floats<kWidth> (&sums)[2]) {
  const Floats<kWidth> numbers = to_floats(row);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float difference = numbers[i] - origin[i];
    sums[0][i] += difference;
    sums[1][i] += difference * difference;
  }
}

/// Mean and biased variance of the rows.
template <class T, int kWidth>
struct MomentTerms {
  static constexpr int kSums = 2, kAtOnce = 4;
  using Join = MomentJoin<kWidth>;
  using Sums = Floats<kWidth>[kSums];
  const T* x;              // [O, R, I]
  float *mean, *variance;  // [O, I]

  __device__ Floats<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    return load<kWidth>(x + part.offset(part.begin, columns.R, columns.I));
  }
  __device__ Pack<T, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void add(const Floats<kWidth>& origin, const Pack<T, kWidth>& row, Sums& sums) const {
    add_moments(origin, row, sums);
  }
  __device__ void finish(const ColumnPart& part, const Floats<kWidth>& origin, const Sums& sums,
                         Sums& results) const {
    Join::finish(origin, sums, static_cast<float>(part.end - part.begin), results);
  }
  __device__ void store(const ColumnPart& part, const Columns& columns, const Sums& results) const {
    const int64_t offset = part.offset(0, 1, columns.I);
    store_wide(mean + offset, results[0]);
    store_wide(variance + offset, results[1]);
  }
};

/// mean[o, i] = average of x[o, r, i] over r, variance[o, i] = average of (x[o, r, i] - mean[o, i])^2; one
/// pass over x, one launch.  x: [O, R, I], R > 0; mean, variance: [O, I], all on the current device
template <class T>
void column_moments(const char* operation, const T* x, int64_t O, int64_t R, int64_t I, float* mean,
                    float* variance) {
  const auto compute = [&]<int kWidth>() {
    sum_columns_of<kWidth>(operation, Columns(operation, O, R, I, kWidth),
                           MomentTerms<T, kWidth>{x, mean, variance});
  };
  visit_width<T>(I, compute, x, mean, variance);
}

}  // namespace fovea::kernels::cuda
