#include "fovea/core/random.h"

#include <cmath>
#include <numbers>

#include "fovea/core/check.h"

namespace fovea {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

std::array<uint32_t, 4> Random::block(uint32_t block) const {
  return philox({block, sample_, epoch_, purpose_},
                {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
}

uint32_t Random::next() {
  const uint32_t lane = position_ % 4;
  if (lane == 0) current_ = block(position_ / 4);
  ++position_;
  return current_[lane];
}

float Random::uniform() {
  return static_cast<float>(next() >> 8) * 0x1p-24f;
}

uint32_t Random::below(uint32_t bound) {
  check(bound >= 1, "Random::below: the bound is 0");
  // Lemire, "Fast random integer generation in an interval", 2019: reject the uneven remainder.
  uint64_t product = static_cast<uint64_t>(next()) * bound;
  if (static_cast<uint32_t>(product) < bound) {
    const uint32_t threshold = (0u - bound) % bound;
    while (static_cast<uint32_t>(product) < threshold) product = static_cast<uint64_t>(next()) * bound;
  }
  return static_cast<uint32_t>(product >> 32);
}

float Random::normal() {
  const double u = 1.0 - static_cast<double>(next()) * 0x1p-32;  // in (0, 1]
  const double v = static_cast<double>(next()) * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
}

namespace {

template <class Draw>
Tensor filled(const Shape& shape, Dtype dtype, Draw draw) {
  Tensor result = Tensor::empty(shape, dtype);
  visit_floating("random", dtype, [&]<class T>() {
    T* values = result.data<T>();
    for (int64_t i = 0; i < result.size(); ++i) values[i] = T(draw());
  });
  return result;
}

}  // namespace

Tensor normal(const Shape& shape, Random random, float deviation, Dtype dtype) {
  return filled(shape, dtype, [&] { return deviation * random.normal(); });
}

Tensor uniform(const Shape& shape, Random random, float low, float high, Dtype dtype) {
  return filled(shape, dtype, [&] { return low + (high - low) * random.uniform(); });
}

}  // namespace fovea
