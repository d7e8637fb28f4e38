#pragma once

#include "fovea/kernels/cuda/column_sums.h"

namespace fovea::kernels::cuda {

/// Mean and biased variance of the rows of a chunk, which are summed as differences from its first row, so
/// that a large mean does not cancel the variance.
template <class T, int kWidth>
struct MomentTerms {
  static constexpr int kSums = 2, kAtOnce = 4;
  using Sums = Floats<kWidth>[kSums];
  const T* x;              // [O, R, I]
  float *mean, *variance;  // [O, chunks, I]

  __device__ Floats<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    return load<kWidth>(x + part.offset(part.begin, columns.R, columns.I));
  }
  __device__ Pack<T, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void add(const Floats<kWidth>& origin, const Pack<T, kWidth>& row, bool, Sums& sums) const {
    const Floats<kWidth> numbers = to_floats(row);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float difference = numbers[i] - origin[i];
      sums[0][i] += difference;
      sums[1][i] += difference * difference;
    }
  }
  __device__ void finish(const ColumnPart& part, const Columns& columns, const Floats<kWidth>& origin,
                         const Sums& sums) const {
    const float share = 1.0f / static_cast<float>(part.end - part.begin);
    Floats<kWidth> m, v;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float shift = sums[0][i] * share;
      m[i] = origin[i] + shift;
      v[i] = sums[1][i] * share - shift * shift;
      if (v[i] < 0.0f) v[i] = 0.0f;  // by rounding
    }
    const int64_t offset = part.offset(part.chunk, columns.chunks, columns.I);
    store_anywhere(mean + offset, m);
    store_anywhere(variance + offset, v);
  }
};

/// Joins the moments of chunks; differences are from the mean of the first.
template <int kWidth>
struct JoinedMomentTerms {
  static constexpr int kSums = 2, kAtOnce = 4;
  using Sums = Floats<kWidth>[kSums];
  struct Row {
    Floats<kWidth> mean, variance;
  };
  const float *chunk_mean, *chunk_variance;  // [O, chunks, I]
  float *mean, *variance;                    // [O, I]
  float share, last_share;                   // of all rows: those of a chunk, and of the last one

  __device__ Floats<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    return load<kWidth>(chunk_mean + part.offset(0, columns.R, columns.I));
  }
  __device__ Row read(int64_t offset) const {
    return {load<kWidth>(chunk_mean + offset), load<kWidth>(chunk_variance + offset)};
  }
  __device__ void add(const Floats<kWidth>& origin, const Row& row, bool is_last, Sums& sums) const {
    const float weight = is_last ? last_share : share;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float difference = row.mean[i] - origin[i];
      sums[0][i] += weight * difference;
      sums[1][i] += weight * (row.variance[i] + difference * difference);
    }
  }
  __device__ void finish(const ColumnPart& part, const Columns& columns, const Floats<kWidth>& origin,
                         const Sums& sums) const {
    Floats<kWidth> m, v;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      m[i] = origin[i] + sums[0][i];
      v[i] = sums[1][i] - sums[0][i] * sums[0][i];
      if (v[i] < 0.0f) v[i] = 0.0f;  // by rounding
    }
    const int64_t offset = part.offset(0, 1, columns.I);
    store_anywhere(mean + offset, m);
    store_anywhere(variance + offset, v);
  }
};

/// Makes the terms, for join_column_pairs, of the moments of `rows` rows in `chunks` chunks, which have
/// `chunk_rows` rows each, but the last, which may have fewer.
inline auto joined_moments(int64_t chunks, int64_t chunk_rows, int64_t rows, float* mean, float* variance) {
  const double share = static_cast<double>(chunk_rows) / static_cast<double>(rows);
  const double last_share = 1.0 - share * static_cast<double>(chunks - 1);
  return [=]<int kWidth>(const float* chunk_mean, const float* chunk_variance) {
    return JoinedMomentTerms<kWidth>{chunk_mean,
                                     chunk_variance,
                                     mean,
                                     variance,
                                     static_cast<float>(share),
                                     static_cast<float>(last_share)};
  };
}

/// mean[o, i] = average of x[o, r, i] over r, variance[o, i] = average of (x[o, r, i] - mean[o, i])^2; one
/// pass over x.  x: [O, R, I], R > 0; mean, variance: [O, I], all on the current device
template <class T>
void column_moments(const char* operation, const T* x, int64_t O, int64_t R, int64_t I, float* mean,
                    float* variance) {
  const auto compute = [&]<int kWidth>() {
    const Columns columns(O, R, I, kWidth, Rows::split);
    const auto terms = [&](float* chunk_mean, float* chunk_variance) {
      return MomentTerms<T, kWidth>{x, chunk_mean, chunk_variance};
    };
    const auto joining = joined_moments(columns.chunks, columns.chunk_rows, R, mean, variance);
    sum_column_pairs<kWidth>(operation, columns, terms, joining, mean, variance);
  };
  visit_width<T>(I, compute, x);
}

}  // namespace fovea::kernels::cuda
