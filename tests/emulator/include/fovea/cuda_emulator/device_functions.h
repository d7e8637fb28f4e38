#pragma once

// Functions that kernels call, for the emulator: barriers, warps, atomics, arithmetic.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator.h"

/// The number of the thread in its block, and in its warp.
inline unsigned emulated_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
inline int emulated_lane() {
  return static_cast<int>(emulated_thread() % ::fovea::emulator::kWarp);
}

inline void __syncthreads(::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  ::fovea::emulator::block_barrier(site);
}
/// How many threads of the block have a predicate that is not 0.
inline int __syncthreads_count(int predicate,
                               ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  static const char key = 0;
  int* const votes = ::fovea::emulator::block_array<int>(&key, 1024);
  ::fovea::emulator::block_barrier(site);  // all have read what was there before
  votes[emulated_thread()] = predicate != 0;
  ::fovea::emulator::block_barrier(site);
  int count = 0;
  for (uint64_t i = 0; i < blockDim.count(); ++i) count += votes[i];
  return count;
}
inline int __syncthreads_or(int predicate,
                            ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  return __syncthreads_count(predicate, site) != 0;
}
inline int __syncthreads_and(int predicate,
                             ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  return __syncthreads_count(predicate == 0, site) == 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffu,
                       ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  ::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::sync, mask, 0, 0, site);
}

/// The value of lane `source`; poison where that lane takes no part.
template <class T>
T emulated_shuffle(unsigned mask, T value, int source, ::fovea::emulator::Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits =
      ::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::shuffle, mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  const int base = emulated_lane() / width * width;
  return emulated_shuffle(mask, value, base + (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  const int source = emulated_lane() ^ lane_mask;
  const bool is_inside = source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  const int source = emulated_lane() + static_cast<int>(delta);
  const bool is_inside = source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  const int source = emulated_lane() - static_cast<int>(delta);
  const bool is_inside = source >= 0 && source / width == emulated_lane() / width;
  return emulated_shuffle(mask, value, is_inside ? source : emulated_lane(), site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  return static_cast<unsigned>(::fovea::emulator::warp_exchange(::fovea::emulator::WarpOperation::ballot,
                                                                mask, predicate != 0, 0, site));
}
inline int __any_sync(unsigned mask, int predicate,
                      ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      ::fovea::emulator::Site site = ::fovea::emulator::Site::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

/// One thread runs at a time, so that this is atomic; before and after it others may run.
template <class T, class Change>
T emulated_atomic(T* address, Change change) {
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  const T before = *address;
  *address = change(before);
  ::fovea::emulator::let_others_run(/*at_atomic=*/true);
  return before;
}
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
#if !defined(FOVEA_EMULATOR_FLOAT_ATOMICS)
  static_assert(
      std::is_integral_v<T>,
      "sums of floats by atomics depend on the order: define FOVEA_EMULATOR_FLOAT_ATOMICS to allow them");
#endif
  return emulated_atomic(address, [=](T before) { return static_cast<T>(before + value); });
}
template <class T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return static_cast<T>(before - value); });
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return value > before ? value : before; });
}
template <class T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return value < before ? value : before; });
}
template <class T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return before & value; });
}
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return before | value; });
}
template <class T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return before ^ value; });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> compared, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>);
  return emulated_atomic(address, [=](T before) { return before == compared ? value : before; });
}
template <class T>
T atomicInc(T* address, std::type_identity_t<T> most) {
  static_assert(std::is_same_v<T, unsigned>);
  return emulated_atomic(address, [=](T before) { return before >= most ? 0 : before + 1; });
}
inline void __threadfence() {
  ::fovea::emulator::let_others_run(/*at_atomic=*/false);
}
inline void __threadfence_block() {
  ::fovea::emulator::let_others_run(/*at_atomic=*/false);
}

/// Ends the kernel with an error.
[[noreturn]] inline void __trap() {
  ::fovea::emulator::stop_kernel();
}

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline int min(int a, int b) {
  return b < a ? b : a;
}
inline unsigned min(unsigned a, unsigned b) {
  return b < a ? b : a;
}
inline int max(int a, int b) {
  return a < b ? b : a;
}
inline unsigned max(unsigned a, unsigned b) {
  return a < b ? b : a;
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
inline float __fmaf_rn(float x, float y, float z) {
  return std::fma(x, y, z);
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
/// The place of the lowest bit that is 1, from 1 on; 0 if there is none.
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
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
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
