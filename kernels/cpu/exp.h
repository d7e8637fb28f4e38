#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// e^x to 1 ulp, in plain arithmetic without branches, so that loops over it vectorise. Overflows to
/// infinity, underflows through the subnormals to 0; NaN stays NaN.
inline float exp(float x) {
  constexpr float kLog2E = 1.44269504f;
  // ln 2 in two parts: the first has 9 bits, so that n times it is exact.
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // Added to a number below 2^22, it leaves the nearest integer in the low bits of the sum.
  constexpr float kRound = 0x1.8p23f;
  x = x > 90.0f ? 90.0f : x;
  x = x < -105.0f ? -105.0f : x;
  // x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + r + r^2 p(r) (Cephes' expf).
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float fraction = (p * r) * r + r + 1.0f;
  // 2^n in two factors, because n may leave the range of the exponent.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const int32_t half = exponent >> 1;
  const auto power_of_two = [](int32_t e) {
    return std::bit_cast<float>((static_cast<uint32_t>(e) + 127u) << 23);
  };
  return fraction * power_of_two(half) * power_of_two(exponent - half);
}

inline double exp(double x) {
  return std::exp(x);
}

/// 1 / (1 + e^-x) to 2.5 ulp; 0 from x = -88.8 down.
inline float sigmoid(float x) {
  return 1.0f / (1.0f + exp(-x));
}
inline double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
