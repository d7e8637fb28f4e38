#pragma once

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

/// The two instructions of tensor cores that a product of 16-bit matrices needs (PTX ISA, "ldmatrix" and
/// "mma.m16n8k16"). All lanes of a warp call them together. Of an 8x8 matrix, lane l has the numbers
/// (l / 4, 2 * (l % 4)) and the one after it, in the lower and the upper half of 32 bits.
namespace fovea::kernels::cuda {

#ifndef __CUDACC__
/// What every lane of this warp passes, to be read until the next call.
template <class Value>
const Value* values_of_lanes(const Value& own, Site site) {
  static const char key = 0;
  auto* const all = emulator::block_array<Value>(&key, 1024);
  __syncwarp(0xffffffffu, site);  // all have read what was there before
  all[threadIdx.x] = own;
  __syncwarp(0xffffffffu, site);
  return all + threadIdx.x / kWarpSize * kWarpSize;
}
#endif

/// Four 8x8 matrices out of shared memory; lane l gives the address of row l % 8 of matrix l / 8: 8 numbers,
/// aligned to 16 bytes. With kTransposed, of each its transpose.
template <bool kTransposed, class T>
__device__ inline void load_matrices(const T* row, unsigned (&parts)[4]) {
  static_assert(sizeof(T) == 2);
#ifdef __CUDACC__
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
#else
  check_alignment<Pack<T, 8> >(row);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane / 4, place = lane % 4 * 2;
  const auto joined = [](T low, T high) { return low.bits | static_cast<unsigned>(high.bits) << 16; };
  const T* const* const rows = values_of_lanes(row, Site::current());
  for (int i = 0; i < 4; ++i) {
    if constexpr (kTransposed) {
      parts[i] = joined(rows[8 * i + place][line], rows[8 * i + place + 1][line]);
    } else {
      parts[i] = joined(rows[8 * i + line][place], rows[8 * i + line][place + 1]);
    }
  }
#endif
}

/// c += a * b in f32. a: [16, 16] as the matrices (upper left, lower left, upper right, lower right); b: [16,
/// 8] as the transposes of its upper and its lower half; c: [16, 8], two numbers each of the upper and the
/// lower half.
template <class T>
__device__ inline void multiply_add(const unsigned (&a)[4], unsigned b_upper, unsigned b_lower,
                                    float (&c)[4]) {
#ifdef __CUDACC__
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
#else
  struct Registers {
    unsigned a[4], b[2];
  };
  const Registers* const lanes =
      values_of_lanes(Registers{{a[0], a[1], a[2], a[3]}, {b_upper, b_lower}}, Site::current());
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane / 4, place = lane % 4;
  const auto number = [](unsigned two, int i) {
    T result;
    result.bits = static_cast<uint16_t>(two >> (16 * i));
    return to_float(result);
  };
  for (int half = 0; half < 2; ++half) {    // of the rows
    for (int side = 0; side < 2; ++side) {  // of the terms
      for (int k = 0; k < 8; ++k) {
        const float factor = number(lanes[4 * line + k / 2].a[half + 2 * side], k % 2);
        for (int j = 0; j < 2; ++j) {
          c[2 * half + j] += factor * number(lanes[4 * (2 * place + j) + k / 2].b[side], k % 2);
        }
      }
    }
  }
#endif
}

}  // namespace fovea::kernels::cuda
