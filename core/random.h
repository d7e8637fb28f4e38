#pragma once

#include <array>
#include <cstdint>

#include "fovea/core/tensor.h"

namespace fovea {

/// What random numbers are for: part of their key, so that streams never overlap.
enum class Purpose : uint32_t {
  initial_values = 1,
  shuffle = 2,
  augmentation = 3,
  dropout = 4,
  synthetic_images = 5,
  label_noise = 6,
  mixup = 7,
  test = 100,
};

/// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3", 2011). Number i of the stream (seed, purpose, epoch, sample) is a pure function of those five values,
/// so it depends neither on threads nor on the order in which numbers are drawn.
class Random {
 public:
  Random(uint64_t seed, Purpose purpose, uint32_t epoch = 0, uint32_t sample = 0)
      : seed_(seed), purpose_(static_cast<uint32_t>(purpose)), epoch_(epoch), sample_(sample) {}

  /// The four 32-bit numbers of block `block`.
  std::array<uint32_t, 4> block(uint32_t block) const;

  /// The next 32 bits of the stream.
  uint32_t next();
  /// Uniform in [0, 1), with 24 bits.
  float uniform();
  /// Uniform in {0, ..., bound - 1}, unbiased; bound >= 1.
  uint32_t below(uint32_t bound);
  /// Standard normal (Box-Muller).
  float normal();

 private:
  uint64_t seed_;
  uint32_t purpose_, epoch_, sample_;
  uint32_t position_ = 0;  // in numbers drawn so far
  std::array<uint32_t, 4> current_{};
};

/// Philox 4x32-10 itself: ten rounds over a counter under a key.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

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
