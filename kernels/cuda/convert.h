#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "fovea/core/dtype.h"

/// Between the 16-bit types and f32, in one instruction on a device; on the host by core/half.h.
namespace fovea::kernels::cuda {

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(bf16 x) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
#else
  return static_cast<float>(x);
#endif
}
__device__ inline float to_float(f16 x) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(x.bits));
#else
  return static_cast<float>(x);
#endif
}

/// Rounds to nearest even.
template <class T>
__device__ inline T from_float(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
#ifdef __CUDA_ARCH__
    T y;
    if constexpr (std::is_same_v<T, bf16>) {
      y.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
    } else {
      y.bits = __half_as_ushort(__float2half_rn(x));
    }
    return y;
#else
    return T(x);
#endif
  }
}

/// Two numbers rounded to nearest even, the first in the lower half: one instruction on a device from compute
/// capability 8.0 on.
template <class T>
__device__ inline unsigned two_from_floats(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  return from_float<T>(first).bits | static_cast<unsigned>(from_float<T>(second).bits) << 16;
#elif defined(__CUDA_ARCH__)
  unsigned two;
  if constexpr (std::is_same_v<T, bf16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
  }
  return two;
#else
  return T(first).bits | static_cast<unsigned>(T(second).bits) << 16;
#endif
}

/// Calls `body.template operator()<T>()` with the C++ type of a floating dtype that devices compute in.
template <class Body>
void visit_device_floating(const char* operation, Dtype dtype, Body&& body) {
  switch (dtype) {
    case Dtype::f32: return body.template operator()<float>();
    case Dtype::bf16: return body.template operator()<bf16>();
    case Dtype::f16: return body.template operator()<f16>();
    default: break;
  }
  throw Error(str(operation, ": dtype is ", dtype, ", wanted f32, bf16 or f16 on a CUDA device"));
}

}  // namespace fovea::kernels::cuda
