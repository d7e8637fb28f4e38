#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/parallel_for.h"
#include "fovea/core/tensor.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Calls body.template operator()<A, G>() with the types of an optimiser's arena, f32 or f64, and of its
/// gradient: the same or, beside f32, bf16 or f16.
template <class Body>
void visit_arena(const char* operation, Dtype arena, Dtype gradient, Body&& body) {
  check(arena == Dtype::f32 || arena == Dtype::f64, operation, ": dtype is ", arena, ", wanted f32 or f64");
  const bool is_half = gradient == Dtype::bf16 || gradient == Dtype::f16;
  check(gradient == arena || (is_half && arena == Dtype::f32), operation, ": the gradient is ", gradient,
        ", the weights are ", arena, "; wanted one dtype, or a gradient of 16 bits beside f32");
  if (arena == Dtype::f64) {
    body.template operator()<double, double>();
  } else if (gradient == Dtype::bf16) {
    body.template operator()<float, bf16>();
  } else if (gradient == Dtype::f16) {
    body.template operator()<float, f16>();
  } else {
    body.template operator()<float, float>();
  }
}

/// The only element of `tensor`, or `otherwise` where it is undefined.
template <class T>
T scalar_or(const Tensor& tensor, T otherwise) {
  return tensor.defined() ? *tensor.data<T>() : otherwise;
}

template <class A>
void round_into(const A* weights, int64_t begin, int64_t end, Tensor& copy) {
  const auto round_to = [=]<class T>(T* to) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) to[i] = T(static_cast<float>(weights[i]));
  };
  if (copy.dtype() == Dtype::bf16) {
    round_to(copy.data<bf16>());
  } else {
    round_to(copy.data<f16>());
  }
}

/// Calls body(begin, end, weight_decay) for pieces that cover the arena `weight`: with `decay` for the first
/// `decay_count` elements, then with 0; for none where `non_finite` is not 0. Then rounds the piece, which is
/// still in the cache, into `copy`, if that is defined.
template <class A, class Body>
void update_arena(const char* operation, int64_t decay_count, A decay, const Tensor& non_finite,
                  Tensor& weight, Tensor& copy, Body&& body) {
  constexpr int64_t kBlock = 4096;
  check(!copy.defined() || copy.dtype() == Dtype::bf16 || copy.dtype() == Dtype::f16, operation,
        ": the copy of the weights is ", copy, ", wanted bf16 or f16");
  const bool is_skipped = scalar_or<int64_t>(non_finite, 0) != 0;
  const int64_t count = weight.size();
  const A* const weights = weight.data<A>();
  parallel_for((count + kBlock - 1) / kBlock, /*grain=*/8, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBlock, end = std::min(count, begin + kBlock);
      const int64_t middle = std::clamp(decay_count, begin, end);
      if (begin < middle && !is_skipped) body(begin, middle, decay);
      if (middle < end && !is_skipped) body(middle, end, A(0));
      if (copy.defined()) round_into(weights, begin, end, copy);
    }
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
