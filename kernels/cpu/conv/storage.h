#pragma once

#include "fovea/core/check.h"
#include "fovea/core/dtype.h"

/// The dtypes that f32's convolutions read and write: f32 itself, and bf16, which is widened where it is read
/// and rounded where it is written, in registers. All sums are f32.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

inline bool is_storage(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16;
}

/// Calls body.operator()<T>() with T = float or bf16.
template <class Body>
void visit_storage(const char* operation, Dtype dtype, Body&& body) {
  check(is_storage(dtype), operation, ": dtype is ", dtype, ", wanted f32 or bf16");
  dtype == Dtype::f32 ? body.template operator()<float>() : body.template operator()<bf16>();
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
