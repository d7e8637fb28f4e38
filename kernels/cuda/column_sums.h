#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/columns.h"

namespace fovea::kernels::cuda {

/// y[o, chunk, i] = factor * sum over the chunk's rows of x[o, r, i].
template <class X, class Y, int kWidth>
struct SumTerms {
  static constexpr int kSums = 1, kAtOnce = 4;
  const X* x;
  Y* y;
  float factor;
  bool along_pack;  // the numbers of a pack are terms of one sum

  __device__ Nothing constants(const ColumnPart&, const Columns&) const { return {}; }
  __device__ Floats<kWidth> read(int64_t offset) const { return load<kWidth>(x + offset); }
  __device__ void add(Nothing, const Floats<kWidth>& loaded, int64_t, Floats<kWidth> (&sums)[1]) const {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[0][i] += loaded[i];
  }
  __device__ void finish(const ColumnPart& part, const Columns& columns, Nothing,
                         const Floats<kWidth> (&sums)[1]) const {
    if (along_pack) {
      float total = 0;
      for (int i = 0; i < kWidth; ++i) total += sums[0][i];
      y[part.o * columns.chunks + part.chunk] = from_float<Y>(factor * total);
    } else {
      Floats<kWidth> scaled;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) scaled[i] = factor * sums[0][i];
      store_anywhere(y + part.offset(part.chunk, columns.chunks, columns.I), scaled);
    }
  }
};

/// Calls body.template operator()<kWidth>(R, I): an [O, R, I] array of T in packs of kWidth, where one of
/// single columns, whose neighbours are the next rows, is seen as [O, R / kWidth, kWidth].
template <class T, class Body, class... Pointers>
void visit_columns(int64_t R, int64_t I, Body&& body, const Pointers*... pointers) {
  if (I == 1 && fits_packs<T>(R, pointers...)) {
    body.template operator()<kPackWidth<T>>(R / kPackWidth<T>, int64_t{kPackWidth<T>});
  } else {
    visit_width<T>(
        I, [&]<int kWidth>() { body.template operator()<kWidth>(R, I); }, pointers...);
  }
}

/// y[o, i] = factor * sum over r of x[o, r, i]: chunks of rows, then their sums in the same way.
/// x: [O, R, I], y: [O, I], on the current device
template <class X, class Y>
void sum_columns(const char* operation, const X* x, int64_t O, int64_t R, int64_t I, float factor, Y* y) {
  const auto sum = [&]<int kWidth>(int64_t rows, int64_t width) {
    const Columns columns(O, rows, width, kWidth, Rows::split);
    const bool along_pack = width != I;
    const auto sum_into = [&]<class Sum>(Sum* sums, float chunk_factor) {
      launch(operation, column_sums_kernel<kWidth, SumTerms<X, Sum, kWidth>>, columns.grid(), columns,
             SumTerms<X, Sum, kWidth>{x, sums, chunk_factor, along_pack});
    };
    if (columns.chunks == 1) return sum_into(y, factor);
    Tensor partial =
        Tensor::empty({O, columns.chunks, I}, Dtype::f32, Device::cuda(fovea::cuda::current_device()));
    sum_into(partial.data<float>(), 1.0f);
    sum_columns<float>(operation, partial.data<float>(), O, columns.chunks, I, factor, y);
  };
  visit_columns<X>(R, I, sum, x);
}

}  // namespace fovea::kernels::cuda
