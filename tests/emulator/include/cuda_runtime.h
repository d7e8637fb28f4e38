#pragma once

// The part of CUDA C++ that Fovea's kernels use, on the host: see tests/emulator/README.md.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

#define threadIdx (::fovea::emulator::current_thread().index)
#define blockIdx (::fovea::emulator::current_thread().block)
#define blockDim (::fovea::emulator::current_thread().block_size)
#define gridDim (::fovea::emulator::current_thread().grid_size)
inline constexpr int warpSize = ::fovea::emulator::kWarp;

using dim3 = ::fovea::emulator::Dim3;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

using Site = std::source_location;

inline void __syncthreads(Site site = Site::current()) {
  ::fovea::emulator::block_barrier(site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, Site site = Site::current()) {
  ::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::sync, mask, 0, 0, site);
}

/// The value of lane `source`; poison where that lane takes no part.
template <class T>
T emulated_shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits =
      ::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::shuffle, mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
inline int emulated_lane() {
  return ::fovea::emulator::current_thread().lane;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, Site site = Site::current()) {
  const int base = emulated_lane() / width * width;
  return emulated_shuffle(mask, value, base + (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, Site site = Site::current()) {
  const int source = emulated_lane() ^ lane_mask;
  const bool is_inside = source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, Site site = Site::current()) {
  const int source = emulated_lane() + static_cast<int>(delta);
  const bool is_inside = source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, Site site = Site::current()) {
  const int source = emulated_lane() - static_cast<int>(delta);
  const bool is_inside = source >= 0 && source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return static_cast<unsigned>(::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::ballot,
                                                                mask, predicate != 0, 0, site));
}
inline int __any_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

/// A variable of the device is the host's own.
template <class T>
cudaError_t cudaGetSymbolAddress(void** address, T& symbol) {
  *address = &symbol;
  return cudaSuccess;
}

// One thread runs at a time, so that these are atomic; before and after them others may run.
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "sums of floats by atomics depend on the order");
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  const T before = *address;
  *address = before + value;
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  return before;
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  const T before = *address;
  if (value > before) *address = value;
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  return before;
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  const T before = *address;
  *address = value;
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  return before;
}
template <class T>
T atomicInc(T* address, std::type_identity_t<T> most) {
  static_assert(std::is_same_v<T, unsigned>);
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  const T before = *address;
  *address = before >= most ? 0 : before + 1;
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  return before;
}
inline void __threadfence() {
  ::fovea::emulator::let_others_run(/*at_atomic=*/false);
}

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __logf(float x) {
  return std::log(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
