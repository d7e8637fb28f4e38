#pragma once

#include "fovea/kernels/cuda/columns.h"

namespace fovea::kernels::cuda {

/// y[o, i] = factor * sum over r of x[o, r, i].
template <class X, class Y, int kWidth>
struct SumTerms {
  static constexpr int kSums = 1, kAtOnce = 4;
  using Join = SumJoin<kWidth, 1>;
  using Sums = Floats<kWidth>[kSums];
  const X* x;
  Y* y;
  float factor;
  bool along_pack;  // the numbers of a pack are terms of one sum

  __device__ Nothing constants(const ColumnPart&, const Columns&) const { return {}; }
  __device__ Pack<X, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void add(Nothing, const Pack<X, kWidth>& row, Sums& sums) const {
    const Floats<kWidth> terms = to_floats(row);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[0][i] += terms[i];
  }
  __device__ void finish(const ColumnPart&, Nothing, const Sums& sums, Sums& results) const {
    results[0] = sums[0];
  }
  __device__ void store(const ColumnPart& part, const Columns& columns, const Sums& results) const {
    if (along_pack) {
      float total = 0;
      for (int i = 0; i < kWidth; ++i) total += results[0][i];
      y[part.o] = from_float<Y>(factor * total);
    } else {
      Floats<kWidth> scaled;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) scaled[i] = factor * results[0][i];
      store_wide(y + part.offset(0, 1, columns.I), scaled);
    }
  }
};

/// Calls body.template operator()<kWidth>(R, I): an [O, R, I] array of T in packs of kWidth, where one of
/// single columns, whose neighbours are the next rows, is seen as [O, R / kWidth, kWidth]. `x` has rows,
/// `of_columns` one number for each column.
template <class T, class Body, class... OfColumns>
void visit_columns(int64_t R, int64_t I, Body&& body, const T* x, const OfColumns*... of_columns) {
  if (I == 1 && fits_packs<T>(R, x)) {
    body.template operator()<kPackWidth<T>>(R / kPackWidth<T>, int64_t{kPackWidth<T>});
  } else {
    visit_width<T>(
        I, [&]<int kWidth>() { body.template operator()<kWidth>(R, I); }, x, of_columns...);
  }
}

/// y[o, i] = factor * sum over r of x[o, r, i], in one launch.
/// x: [O, R, I], y: [O, I], on the current device
template <class X, class Y>
void sum_columns(const char* operation, const X* x, int64_t O, int64_t R, int64_t I, float factor, Y* y) {
  const auto sum = [&]<int kWidth>(int64_t rows, int64_t width) {
    const Columns columns(operation, O, rows, width, kWidth);
    sum_columns_of<kWidth>(operation, columns, SumTerms<X, Y, kWidth>{x, y, factor, width != I});
  };
  visit_columns<X>(R, I, sum, x, y);
}

}  // namespace fovea::kernels::cuda
