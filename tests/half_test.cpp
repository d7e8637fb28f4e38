#include "fovea/core/half.h"

#include <bit>
#include <cmath>
#include <limits>

using namespace fovea;

namespace {

template <class T>
T from_bits(uint32_t bits) {
  T value;
  value.bits = static_cast<uint16_t>(bits);
  return value;
}

template <class T>
float to_float(uint32_t bits) {
  return static_cast<float>(from_bits<T>(bits));
}

/// Every pattern comes back from f32 as it went; NaN comes back as some NaN of the same sign.
template <class T>
int patterns_that_change() {
  int changed = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = to_float<T>(bits);
    const T back(wide);
    if (std::isnan(wide)) {
      changed += !std::isnan(static_cast<float>(back));
    } else {
      changed += back.bits != bits;
    }
  }
  return changed;
}

/// For all neighbours a < b: numbers below the middle round to a, above it to b, the middle to the even one.
template <class T>
int wrong_roundings(uint32_t largest) {
  const float infinity = std::numeric_limits<float>::infinity();
  int wrong = 0;
  for (uint32_t bits = 0; bits < largest; ++bits) {
    const float a = to_float<T>(bits), b = to_float<T>(bits + 1);
    const float middle = a + (b - a) / 2;  // exact: f32 has the bits to spare
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    for (const uint32_t sign : {0u, 0x8000u}) {
      const float s = sign == 0 ? 1.0f : -1.0f;
      wrong += T(s * std::nextafter(middle, 0.0f)).bits != (sign | bits);
      wrong += T(s * middle).bits != (sign | even);
      wrong += T(s * std::nextafter(middle, infinity)).bits != (sign | (bits + 1));
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("bf16 and f16: all 65536 patterns survive the way through f32") {
  CHECK(patterns_that_change<bf16>() == 0);
  CHECK(patterns_that_change<f16>() == 0);
}

TEST_CASE("bf16 and f16: every number rounds to the nearest, ties to even") {
  CHECK(wrong_roundings<bf16>(0x7f7f) == 0);  // up to the largest finite number
  CHECK(wrong_roundings<f16>(0x7bff) == 0);
}

TEST_CASE("bf16 and f16: values written down") {
  CHECK(bf16(1.0f).bits == 0x3f80);
  CHECK(bf16(-2.5f).bits == 0xc020);
  CHECK(f16(1.0f).bits == 0x3c00);
  CHECK(f16(-2.5f).bits == 0xc100);
  CHECK(f16(65504.0f).bits == 0x7bff);
  CHECK(f16(0x1p-24f).bits == 0x0001);
  CHECK(f16(0x1p-14f).bits == 0x0400);
  CHECK(f16(-0.0f).bits == 0x8000);
  CHECK(f16(0x1p-26f).bits == 0x0000);
}

TEST_CASE("bf16 and f16: overflow, infinity and NaN") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float largest = std::numeric_limits<float>::max();
  CHECK(f16(65519.9f).bits == 0x7bff);
  CHECK(f16(65520.0f).bits == 0x7c00);
  CHECK(f16(largest).bits == 0x7c00);
  CHECK(f16(-infinity).bits == 0xfc00);
  CHECK(bf16(largest).bits == 0x7f80);
  CHECK(bf16(-infinity).bits == 0xff80);
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    const float nan = std::bit_cast<float>(bits);
    CHECK(std::isnan(static_cast<float>(bf16(nan))));
    CHECK(std::isnan(static_cast<float>(f16(nan))));
  }
}
