#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/cast.h"

/// For what computes in f32 alone, with tensors of another dtype.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// x, or a copy of it in f32; undefined stays undefined.
inline Tensor as_f32(const Tensor& x) {
  if (!x.defined() || x.dtype() == Dtype::f32) return x;
  Tensor wide = Tensor::empty(x.shape(), Dtype::f32);
  FOVEA_CPU_VARIANT::cast_forward(x, wide);
  return wide;
}

/// Calls body(result) with a tensor in f32 in which it is to leave what `result` gets: result itself, or one
/// that is rounded afterwards.
template <class Body>
void compute_in_f32(Tensor& result, Body&& body) {
  if (result.dtype() == Dtype::f32) return body(result);
  Tensor wide = Tensor::empty(result.shape(), Dtype::f32);
  body(wide);
  FOVEA_CPU_VARIANT::cast_forward(wide, result);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
