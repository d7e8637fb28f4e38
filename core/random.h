#pragma once

#include <array>
#include <cstdint>

#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// What random numbers are for: part of their key, so that streams never overlap.
enum class Purpose : uint32_t {
  initial_values = 1,
  shuffle = 2,
  augmentation = 3,
  dropout = 4,
  synthetic_images = 5,
  first_flip = 6,
  cutout = 7,
  erasing = 8,
  mixing = 9,
  label_noise = 10,
  hold_out = 11,
  test = 100,
};

/// Philox 4x32-10 itself: ten rounds over a counter under a key. constexpr, as is all that kernels draw with:
/// such functions run on a CUDA device, too.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
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

/// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3", 2011). Number i of the stream (seed, purpose, epoch, sample) is a pure function of those five values,
/// so it depends neither on threads nor on the order in which numbers are drawn.
class Random {
 public:
  constexpr Random(uint64_t seed, Purpose purpose, uint32_t epoch = 0, uint32_t sample = 0)
      : seed_(seed), purpose_(static_cast<uint32_t>(purpose)), epoch_(epoch), sample_(sample) {}

  /// The four 32-bit numbers of block `block`.
  constexpr std::array<uint32_t, 4> block(uint32_t block) const {
    return philox({block, sample_, epoch_, purpose_},
                  {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  }

  /// The next 32 bits of the stream.
  constexpr uint32_t next() {
    const uint32_t lane = position_ % 4;
    if (lane == 0) current_ = block(position_ / 4);
    ++position_;
    return current_[lane];
  }
  /// Uniform in [0, 1), with 24 bits.
  constexpr float uniform() { return to_uniform(next()); }
  /// The number in [0, 1) that `bits` stand for.
  static constexpr float to_uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
  /// Uniform in {0, ..., bound - 1}, unbiased; bound >= 1, else an Error (on a CUDA device 0).
  constexpr uint32_t below(uint32_t bound) {
#ifndef __CUDA_ARCH__
    if (bound == 0) throw Error("Random::below: the bound is 0");
#endif
    // Lemire, "Fast random integer generation in an interval", 2019: reject the uneven remainder.
    uint64_t product = static_cast<uint64_t>(next()) * bound;
    if (static_cast<uint32_t>(product) < bound) {
      const uint32_t threshold = (0u - bound) % bound;
      while (static_cast<uint32_t>(product) < threshold) product = static_cast<uint64_t>(next()) * bound;
    }
    return static_cast<uint32_t>(product >> 32);
  }
  /// Standard normal (Box-Muller).
  float normal();

 private:
  uint64_t seed_;
  uint32_t purpose_, epoch_, sample_;
  uint32_t position_ = 0;  // in numbers drawn so far
  std::array<uint32_t, 4> current_{};
};

/// Gives every parameter of a model its own stream of initial values, in the order of construction.
class Rng {
 public:
  explicit Rng(uint64_t seed) : seed_(seed) {}
  Random next() { return Random(seed_, Purpose::initial_values, 0, count_++); }

 private:
  uint64_t seed_;
  uint32_t count_ = 0;
};

/// A CPU tensor of normal numbers of the given deviation.
Tensor normal(const Shape& shape, Random random, float deviation = 1.0f, Dtype dtype = Dtype::f32);
/// A CPU tensor of numbers uniform in [low, high).
Tensor uniform(const Shape& shape, Random random, float low, float high, Dtype dtype = Dtype::f32);

}  // namespace fovea
#pragma GCC visibility pop
