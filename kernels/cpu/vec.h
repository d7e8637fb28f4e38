#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "fovea/core/dtype.h"

/// One vector register of numbers, by the vector extension that GCC and Clang share.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Bytes of a register. Not more than there are: GCC 12 takes wider vectors apart through memory, and choices
/// between them element by element (25 times slower in max-pooling).
#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class A>
struct VecOf {
  typedef A type __attribute__((vector_size(kVectorBytes)));
};
template <class A>
using Vec = typename VecOf<A>::type;

/// Numbers in a Vec<A>.
template <class A>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(A));

/// All lanes of a vector, known when compiling: for the argument `lanes` of load and store.
template <class A>
using AllLanes = std::integral_constant<int, kLanes<A>>;

/// The upper halves of as many f32 as a register has: a vector of bf16.
typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));

inline Vec<float> widen(Halves halves) {
  // GCC 12 widens a vector of AVX-512 in two halves.
#if defined(__AVX512F__)
  return std::bit_cast<Vec<float>>(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(std::bit_cast<__m256i>(halves)), 16));
#else
  return std::bit_cast<Vec<float>>(__builtin_convertvector(halves, Vec<uint32_t>) << 16);
#endif
}

/// Rounds as bf16(float) does; where the processor rounds by itself, it takes subnormal numbers for zeros.
inline Halves round_to_bf16(Vec<float> value) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  return std::bit_cast<Halves>(_mm512_cvtneps_pbh(std::bit_cast<__m512>(value)));
#else
  const auto bits = std::bit_cast<Vec<uint32_t>>(value);
  const Vec<uint32_t> rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_convertvector((value == value ? rounded : bits | 0x400000u) >> 16, Halves);
#endif
}

/// `lanes` elements of any floating type, converted to its accumulator type; zeros after them.
template <class T, class Lanes, class A = Accumulator<T>>
inline Vec<A> load(const T* source, Lanes lanes) {
  Vec<A> result{};
  if constexpr (std::is_same_v<T, A>) {
    std::memcpy(&result, source, static_cast<size_t>(lanes) * sizeof(A));
  } else if constexpr (std::is_same_v<T, bf16>) {
    Halves halves{};
    std::memcpy(&halves, source, static_cast<size_t>(lanes) * sizeof(T));
    result = widen(halves);
  } else {
    for (int i = 0; i < lanes; ++i) result[i] = static_cast<A>(source[i]);
  }
  return result;
}

/// Stores the first `lanes` numbers.
template <class T, class Lanes, class A = Accumulator<T>>
inline void store(T* target, Lanes lanes, Vec<A> value) {
  if constexpr (std::is_same_v<T, A>) {
    std::memcpy(target, &value, static_cast<size_t>(lanes) * sizeof(A));
  } else if constexpr (std::is_same_v<T, bf16>) {
    const Halves halves = round_to_bf16(value);
    std::memcpy(target, &halves, static_cast<size_t>(lanes) * sizeof(T));
  } else {
    for (int i = 0; i < lanes; ++i) target[i] = T(value[i]);
  }
}

/// Stores a vector, to an address aligned to one, past the caches: for a result that is too large to be found
/// there when it is read again, so that its memory need not be read before it is written. Ends with
/// `end_streaming`.
inline void stream(float* target, Vec<float> value) {
#if defined(__x86_64__) && defined(__AVX512F__)
  _mm512_stream_ps(target, reinterpret_cast<const __m512&>(value));
#elif defined(__x86_64__) && defined(__AVX__)
  _mm256_stream_ps(target, reinterpret_cast<const __m256&>(value));
#elif defined(__x86_64__)
  _mm_stream_ps(target, reinterpret_cast<const __m128&>(value));
#else
  store(target, AllLanes<float>(), value);
#endif
}

/// Stores a vector, rounded to bf16, past the caches, to an address aligned to half a vector.
inline void stream(bf16* target, Vec<float> value) {
  const Halves halves = round_to_bf16(value);
#if defined(__x86_64__) && defined(__AVX512F__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(target), std::bit_cast<__m256i>(halves));
#elif defined(__x86_64__) && defined(__AVX__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(target), std::bit_cast<__m128i>(halves));
#else
  std::memcpy(target, &halves, sizeof(halves));
#endif
}

/// Lets other threads see what this one has streamed.
inline void end_streaming() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

template <class A>
inline Vec<A> broadcast(A value) {
  return Vec<A>{} + value;
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
