#pragma once

#include <bit>
#include <type_traits>

#include "fovea/kernels/cpu/vec.h"

/// What products of packed panels do with the 32-bit words that panels consist of.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// A word is a float.
struct MultiplyAdd {
  static Vec<float> add(Vec<float> sum, float factor, Vec<float> row) { return sum + factor * row; }
};

/// A word is a pair of bf16, the first in its lower half: neighbours along the sum.
struct DotProduct {
  static Vec<float> add(Vec<float> sum, float factor, Vec<float> row) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
    // As an integer: as a float a pair may be a signalling NaN, or subnormal.
    const __m512i factors = _mm512_set1_epi32(std::bit_cast<int32_t>(factor));
    return std::bit_cast<Vec<float>>(_mm512_dpbf16_ps(
        std::bit_cast<__m512>(sum), std::bit_cast<__m512bh>(factors), std::bit_cast<__m512bh>(row)));
#else
    const auto pair = std::bit_cast<uint32_t>(factor);
    const auto pairs = std::bit_cast<Vec<uint32_t>>(row);
    const auto upper = std::bit_cast<Vec<float>>(pairs & 0xffff0000u),
               lower = std::bit_cast<Vec<float>>(pairs << 16);
    return sum + std::bit_cast<float>(pair & 0xffff0000u) * upper + std::bit_cast<float>(pair << 16) * lower;
#endif
  }
};

template <class Arithmetic>
inline constexpr bool is_dot = std::is_same_v<Arithmetic, DotProduct>;

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
