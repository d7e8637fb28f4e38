#pragma once

#include <type_traits>

#include "fovea/kernels/cuda/pack.h"

/// The instructions of tensor cores that a product of 16-bit matrices needs (PTX ISA, "ldmatrix",
/// "mma.m16n8k16" and "mma.m16n8k8"). All lanes of a warp call them together. Of an 8x8 matrix, lane l has
/// the numbers (l / 4, 2 * (l % 4)) and the one after it, in the lower and the upper half of 32 bits.
namespace fovea::kernels::cuda {

/// Four 8x8 matrices out of shared memory; lane l gives the address of row l % 8 of matrix l / 8: 8 numbers,
/// aligned to 16 bytes. With kTransposed, of each its transpose.
template <bool kTransposed, class T>
__device__ inline void load_matrices(const T* row, unsigned (&parts)[4]) {
  static_assert(sizeof(T) == 2);
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(address)
                 : "memory");
  }
}

/// Whether there are products of 16 terms, and of bf16: from compute capability 8.0 on.
__device__ constexpr bool has_products_of_16() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  return false;
#else
  return true;
#endif
}

/// c += a * b in f32. a: [16, 16] as the matrices (upper left, lower left, upper right, lower right); b: [16,
/// 8] as the transposes of its upper and its lower half; c: [16, 8], two numbers each of the upper and the
/// lower half. Ends the kernel with an error where there is no such instruction.
template <class T>
__device__ inline void multiply_add_16(const unsigned (&a)[4], unsigned b_upper, unsigned b_lower,
                                       float (&c)[4]) {
#if __CUDA_ARCH__ < 800
  stop_kernel();
#else
  if constexpr (std::is_same_v<T, bf16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_upper), "r"(b_lower));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_upper), "r"(b_lower));
  }
#endif
}

/// c += a * b in f32, of f16. a: [16, 8] as its upper and its lower half; b: [8, 8] as its transpose; c as
/// above.
__device__ inline void multiply_add_8(unsigned a_upper, unsigned a_lower, unsigned b, float (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a_upper), "r"(a_lower), "r"(b));
}

}  // namespace fovea::kernels::cuda
