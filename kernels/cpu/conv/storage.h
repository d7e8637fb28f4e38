#pragma once

#include "fovea/core/check.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/cast.h"

/// The dtypes that f32's convolutions read and write: f32 itself, and bf16, which is widened where it is read
/// and rounded where it is written, in registers. All sums are f32.
namespace fovea::kernels::cpu {

inline bool is_storage(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16;
}

/// Calls body.operator()<T>() with T = float or bf16.
template <class Body>
void visit_storage(const char* operation, Dtype dtype, Body&& body) {
  check(is_storage(dtype), operation, ": dtype is ", dtype, ", wanted f32 or bf16");
  dtype == Dtype::f32 ? body.template operator()<float>() : body.template operator()<bf16>();
}

/// x, or a copy of it in f32; undefined stays undefined.
inline Tensor as_f32(const Tensor& x) {
  if (!x.defined() || x.dtype() == Dtype::f32) return x;
  Tensor wide = Tensor::empty(x.shape(), Dtype::f32);
  cpu::cast_forward(x, wide);
  return wide;
}

/// Calls body(result) with a tensor in f32 in which it is to leave what `result` gets: result itself, or one
/// that is rounded afterwards.
template <class Body>
void compute_in_f32(Tensor& result, Body&& body) {
  if (result.dtype() == Dtype::f32) return body(result);
  Tensor wide = Tensor::empty(result.shape(), Dtype::f32);
  body(wide);
  cpu::cast_forward(wide, result);
}

}  // namespace fovea::kernels::cpu
