#include "fovea/kernels/reduce.h"

#include <algorithm>
#include <array>

#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/sum.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

constexpr int64_t kChunk = 4096;   // elements that one sum adds up before it becomes a node of the tree
constexpr int64_t kColumns = 512;  // columns whose sums are kept on the stack

/// sums[i] = sum over r of x[r, i] for `columns` columns of rows that are I apart.
template <class T>
void sum_rows(const T* x, int64_t rows, int64_t I, int64_t columns, Accumulator<T>* sums) {
  if (I == 1) {
    sums[0] = FOVEA_CPU_VARIANT::sum_of(x, rows);
    return;
  }
  std::array<Accumulator<T>, kColumns> partial{};
  for (int64_t r = 0; r < rows; ++r) {
    const T* const row = x + r * I;
#pragma omp simd
    for (int64_t i = 0; i < columns; ++i) {
      partial[static_cast<size_t>(i)] += static_cast<Accumulator<T>>(row[i]);
    }
  }
  std::copy_n(partial.data(), columns, sums);
}

/// sums[o, i] = sum over r of x[o, r, i]: sums chunks of rows, then their sums in the same way.
template <class T>
void sum_tree(const T* x, int64_t O, int64_t R, int64_t I, Accumulator<T>* sums) {
  const int64_t chunk = std::max<int64_t>(16, kChunk / I);
  const int64_t chunks = std::max<int64_t>(1, (R + chunk - 1) / chunk);
  const int64_t blocks = (I + kColumns - 1) / kColumns;
  Tensor scratch;
  Accumulator<T>* partial = sums;  // [O, chunks, I]
  if (chunks > 1) {
    scratch = Tensor::empty({O, chunks, I}, dtype_of<Accumulator<T>>);
    partial = scratch.data<Accumulator<T>>();
  }
  const int64_t cost = std::min(chunk, R) * std::min(I, kColumns);
  FOVEA_CPU_VARIANT::parallel_for_rows(O * chunks * blocks, cost, [=](int64_t job) {
    const int64_t column = job % blocks * kColumns;
    const int64_t node = job / blocks, o = node / chunks, row = node % chunks * chunk;
    sum_rows(x + (o * R + row) * I + column, std::min(chunk, R - row), I, std::min(kColumns, I - column),
             partial + node * I + column);
  });
  if (chunks > 1) sum_tree(partial, O, chunks, I, sums);
}

}  // namespace

void reduce_forward(const Tensor& x, double factor, Tensor& y) {
  const int64_t O = x.shape(0), R = x.shape(1), I = x.shape(2);
  if (y.size() == 0) return;
  visit_floating("reduce", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    Tensor sums = Tensor::empty({O, I}, dtype_of<A>);
    sum_tree(x.data<T>(), O, R, I, sums.data<A>());
    const A* const from = sums.data<A>();
    T* const to = y.data<T>();
    for (int64_t i = 0; i < O * I; ++i) to[i] = static_cast<T>(static_cast<A>(factor) * from[i]);
  });
}

void reduce_backward(const Tensor& dy, double factor, Tensor& dx) {
  const int64_t O = dx.shape(0), R = dx.shape(1), I = dx.shape(2);
  visit_floating("reduce", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const from = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_for_rows(O * R, I, [=](int64_t row) {
      const T* const gradient = from + row / R * I;
#pragma omp simd
      for (int64_t i = 0; i < I; ++i) {
        to[row * I + i] = static_cast<T>(static_cast<A>(factor) * static_cast<A>(gradient[i]));
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
