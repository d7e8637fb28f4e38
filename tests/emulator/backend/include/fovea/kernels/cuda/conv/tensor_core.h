#pragma once

#include <algorithm>
#include <iterator>

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

/// kernels/cuda/conv/tensor_core.h for the emulator.
namespace fovea::kernels::cuda {

/// What every lane of this warp passes, to be read until the next call.
template <class Value>
const Value* values_of_lanes(const Value& own, ::fovea::emulator::Site site) {
  static const char key = 0;
  auto* const all = emulator::block_array<Value>(&key, 1024);
  __syncwarp(0xffffffffu, site);  // all have read what was there before
  all[threadIdx.x] = own;
  __syncwarp(0xffffffffu, site);
  return all + threadIdx.x / kWarpSize * kWarpSize;
}

template <bool kTransposed, class T>
inline void load_matrices(const T* row, unsigned (&parts)[4]) {
  static_assert(sizeof(T) == 2);
  check_alignment<Pack<T, 8> >(row);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane / 4, place = lane % 4 * 2;
  const auto joined = [](T low, T high) { return low.bits | static_cast<unsigned>(high.bits) << 16; };
  const T* const* const rows = values_of_lanes(row, ::fovea::emulator::Site::current());
  for (int i = 0; i < 4; ++i) {
    if constexpr (kTransposed) {
      parts[i] = joined(rows[8 * i + place][line], rows[8 * i + place + 1][line]);
    } else {
      parts[i] = joined(rows[8 * i + line][place], rows[8 * i + line][place + 1]);
    }
  }
}

inline bool has_products_of_16() {
  return emulator::capability().major >= 8;
}

/// c += a * b, of 8 * kSides terms: what each lane has of a [16, 8 * kSides] and b [8 * kSides, 8].
template <class T, int kSides>
void multiply_add_lanes(const unsigned (&a)[2 * kSides], const unsigned (&b)[kSides], float (&c)[4]) {
  struct Registers {
    unsigned a[2 * kSides], b[kSides];
  };
  Registers own;
  std::copy(std::begin(a), std::end(a), own.a);
  std::copy(std::begin(b), std::end(b), own.b);
  const Registers* const lanes = values_of_lanes(own, ::fovea::emulator::Site::current());
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, line = lane / 4, place = lane % 4;
  const auto number = [](unsigned two, int i) {
    T result;
    result.bits = static_cast<uint16_t>(two >> (16 * i));
    return to_float(result);
  };
  for (int half = 0; half < 2; ++half) {         // of the rows
    for (int side = 0; side < kSides; ++side) {  // of the terms
      for (int k = 0; k < 8; ++k) {
        const float factor = number(lanes[4 * line + k / 2].a[half + 2 * side], k % 2);
        for (int j = 0; j < 2; ++j) {
          c[2 * half + j] += factor * number(lanes[4 * (2 * place + j) + k / 2].b[side], k % 2);
        }
      }
    }
  }
}

template <class T>
void multiply_add_16(const unsigned (&a)[4], unsigned b_upper, unsigned b_lower, float (&c)[4]) {
  if (!has_products_of_16()) stop_kernel();
  multiply_add_lanes<T, 2>(a, {b_upper, b_lower}, c);
}

inline void multiply_add_8(unsigned a_upper, unsigned a_lower, unsigned b, float (&c)[4]) {
  multiply_add_lanes<f16, 1>({a_upper, a_lower}, {b}, c);
}

}  // namespace fovea::kernels::cuda
