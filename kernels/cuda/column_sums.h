#pragma once

#include <type_traits>

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
  __device__ Pack<X, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void add(Nothing, const Pack<X, kWidth>& row, bool, Floats<kWidth> (&sums)[1]) const {
    const Floats<kWidth> terms = to_floats(row);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[0][i] += terms[i];
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

/// Two sums at once: sum_a[o, i] = sum over r of a[o, r, i], and sum_b likewise.
template <int kWidth>
struct PairSumTerms {
  static constexpr int kSums = 2, kAtOnce = 2;
  using Sums = Floats<kWidth>[kSums];
  struct Row {
    Floats<kWidth> a, b;
  };
  const float *a, *b;    // [O, R, I]
  float *sum_a, *sum_b;  // [O, I]

  __device__ Nothing constants(const ColumnPart&, const Columns&) const { return {}; }
  __device__ Row read(int64_t offset) const { return {load<kWidth>(a + offset), load<kWidth>(b + offset)}; }
  __device__ void add(Nothing, const Row& row, bool, Sums& sums) const {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      sums[0][i] += row.a[i];
      sums[1][i] += row.b[i];
    }
  }
  __device__ void finish(const ColumnPart& part, const Columns& columns, Nothing, const Sums& sums) const {
    store_anywhere(sum_a + part.offset(0, 1, columns.I), sums[0]);
    store_anywhere(sum_b + part.offset(0, 1, columns.I), sums[1]);
  }
};

/// Results for each column of all rows, from those of chunks, a and b, [O, chunks, I].
/// make_joining.template operator()<kWidth>(a, b) gives the terms that read and store them.
template <class MakeJoining>
void join_column_pairs(const char* operation, const float* a, const float* b, int64_t O, int64_t chunks,
                       int64_t I, MakeJoining make_joining) {
  const auto join = [&]<int kWidth>() {
    const Columns columns(O, chunks, I, kWidth, Rows::together);
    const auto terms = make_joining.template operator()<kWidth>(a, b);
    launch(operation, column_sums_kernel<kWidth, std::decay_t<decltype(terms)>>, columns.grid(), columns,
           terms);
  };
  visit_width<float>(I, join, a, b);
}

/// Makes the terms for sums: those of all rows, [O, I], are the sums of those of the chunks.
inline auto joined_sums(float* sum_a, float* sum_b) {
  return [=]<int kWidth>(const float* a, const float* b) { return PairSumTerms<kWidth>{a, b, sum_a, sum_b}; };
}

/// Two results for each column of [O, R, I] arrays. make_terms(a, b) gives the terms of `columns`, in packs
/// of kWidth, that store the results of chunks in a and b, [O, chunks, I]; where there are several chunks,
/// make_joining, as in join_column_pairs, gives those that store the results of all rows in `result_a` and
/// `result_b`, [O, I].
template <int kWidth, class MakeTerms, class MakeJoining>
void sum_column_pairs(const char* operation, const Columns& columns, MakeTerms make_terms,
                      MakeJoining make_joining, float* result_a, float* result_b) {
  const auto run = [&](const auto& terms) {
    launch(operation, column_sums_kernel<kWidth, std::decay_t<decltype(terms)>>, columns.grid(), columns,
           terms);
  };
  const int64_t O = columns.O, chunks = columns.chunks, I = columns.I;
  if (chunks == 1) return run(make_terms(result_a, result_b));
  Tensor partial = Tensor::empty({2, O, chunks, I}, Dtype::f32, Device::cuda(fovea::cuda::current_device()));
  float* const a = partial.data<float>();
  float* const b = a + O * chunks * I;
  run(make_terms(a, b));
  join_column_pairs(operation, a, b, O, chunks, I, make_joining);
}

/// The same for sums, [O, I]: those of all rows are the sums of those of the chunks.
template <int kWidth, class MakeTerms>
void sum_column_pairs(const char* operation, const Columns& columns, MakeTerms make_terms, float* sum_a,
                      float* sum_b) {
  sum_column_pairs<kWidth>(operation, columns, make_terms, joined_sums(sum_a, sum_b), sum_a, sum_b);
}

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
