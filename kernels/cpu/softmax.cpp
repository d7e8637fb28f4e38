#include "fovea/kernels/softmax.h"

#include <cmath>
#include <limits>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/exp.h"
#include "fovea/kernels/cpu/sum.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// Calls body(offset, scratch) for each row of the last axis, with C numbers of scratch.
template <class A, class Body>
void for_each_row(const Tensor& x, Body&& body) {
  if (x.size() == 0) return;
  const int64_t C = x.shape(-1);
  const int64_t grain = std::max<int64_t>(1, 8192 / C);
  parallel_for(x.size() / C, grain, [&](int64_t begin, int64_t end) {
    std::vector<A> scratch(static_cast<size_t>(C));
    for (int64_t row = begin; row < end; ++row) body(row * C, scratch.data());
  });
}

template <class T>
Accumulator<T> largest_of(const T* x, int64_t count) {
  using A = Accumulator<T>;
  A largest = -std::numeric_limits<A>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, static_cast<A>(x[i]));
  return largest;
}

}  // namespace

void softmax_forward(const Tensor& x, Tensor& y) {
  visit_floating("softmax", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    for_each_row<A>(x, [&, C = x.shape(-1)](int64_t offset, A* powers) {
      const T* const from = x.data<T>() + offset;
      T* const to = y.data<T>() + offset;
      const A largest = largest_of(from, C);
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) powers[i] = exp(static_cast<A>(from[i]) - largest);
      const A scale = A(1) / sum_of(powers, C);
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) to[i] = static_cast<T>(scale * powers[i]);
    });
  });
}

void softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_floating("softmax", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    for_each_row<A>(y, [&, C = y.shape(-1)](int64_t offset, A* products) {
      const T* const gradient = dy.data<T>() + offset;
      const T* const output = y.data<T>() + offset;
      T* const to = dx.data<T>() + offset;
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) {
        products[i] = static_cast<A>(gradient[i]) * static_cast<A>(output[i]);
      }
      const A total = sum_of(products, C);
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) {
        to[i] = static_cast<T>(static_cast<A>(output[i]) * (static_cast<A>(gradient[i]) - total));
      }
    });
  });
}

void log_softmax_forward(const Tensor& x, Tensor& y) {
  visit_floating("log_softmax", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    for_each_row<A>(x, [&, C = x.shape(-1)](int64_t offset, A* powers) {
      const T* const from = x.data<T>() + offset;
      T* const to = y.data<T>() + offset;
      const A largest = largest_of(from, C);
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) powers[i] = exp(static_cast<A>(from[i]) - largest);
      const A log_sum = std::log(sum_of(powers, C));
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) to[i] = static_cast<T>((static_cast<A>(from[i]) - largest) - log_sum);
    });
  });
}

void log_softmax_backward(const Tensor& dy, const Tensor& y, Tensor& dx) {
  visit_floating("log_softmax", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    for_each_row<A>(y, [&, C = y.shape(-1)](int64_t offset, A*) {
      const T* const gradient = dy.data<T>() + offset;
      const T* const output = y.data<T>() + offset;
      T* const to = dx.data<T>() + offset;
      const A total = sum_of(gradient, C);
#pragma omp simd
      for (int64_t i = 0; i < C; ++i) {
        to[i] = static_cast<T>(static_cast<A>(gradient[i]) - exp(static_cast<A>(output[i])) * total);
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
