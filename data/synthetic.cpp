#include "fovea/data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"

namespace fovea {
namespace {

constexpr int64_t kSide = 32;
constexpr float kNoise = 22.0f;  // deviation, in steps of a byte

using Colour = std::array<float, 3>;

struct ShapeClass {
  const char* name;
  /// Whether (u, v) is inside the shape, which about fills [-1, 1] x [-1, 1]; v points down.
  bool (*contains)(float u, float v);
};

bool in_square(float u, float v) {
  return std::max(std::abs(u), std::abs(v)) < 0.9f;
}

/// Which of the bands 0, 1, 2, ... of the given width holds x >= -1.
int band(float x, float width) {
  return static_cast<int>((x + 1.0f) / width);
}

constexpr ShapeClass kClasses[] = {
    {"circle", [](float u, float v) { return u * u + v * v < 1.0f; }},
    {"square", in_square},
    {"triangle", [](float u, float v) { return v < 0.8f && std::abs(u) < (v + 0.9f) * 0.6f; }},
    {"cross", [](float u, float v) { return in_square(u, v) && std::min(std::abs(u), std::abs(v)) < 0.3f; }},
    {"ring",
     [](float u, float v) {
       const float r = u * u + v * v;
       return r < 1.0f && r > 0.36f;
     }},
    {"horizontal stripes", [](float u, float v) { return in_square(u, v) && band(v, 0.36f) % 2 == 0; }},
    {"vertical stripes", [](float u, float v) { return in_square(u, v) && band(u, 0.36f) % 2 == 0; }},
    {"checkerboard",
     [](float u, float v) { return in_square(u, v) && (band(u, 0.5f) + band(v, 0.5f)) % 2 == 0; }},
    {"diamond", [](float u, float v) { return std::abs(u) * 1.4f + std::abs(v) < 1.1f; }},
    {"star", [](float u, float v) { return std::sqrt(std::abs(u)) + std::sqrt(std::abs(v)) < 1.1f; }},
};
constexpr int64_t kClassCount = std::ssize(kClasses);

float between(Random& random, float low, float high) {
  return low + (high - low) * random.uniform();
}

Colour any_colour(Random& random) {
  return {between(random, 0, 255), between(random, 0, 255), between(random, 0, 255)};
}

/// A colour that differs from `other` by 64 or more in each channel.
Colour distinct_colour(Random& random, const Colour& other) {
  Colour result;
  for (size_t c = 0; c < 3; ++c) result[c] = std::fmod(other[c] + between(random, 64, 192), 256.0f);
  return result;
}

/// Near to normal with deviation kNoise: the sum of the four bytes of one number, less its mean. A byte has
/// variance (256^2 - 1) / 12.
float noise(Random& random) {
  const uint32_t bits = random.next();
  const uint32_t sum = (bits & 255u) + ((bits >> 8) & 255u) + ((bits >> 16) & 255u) + (bits >> 24);
  constexpr float kDeviationOfSum = 147.8f;
  return (static_cast<float>(sum) - 510.0f) * (kNoise / kDeviationOfSum);
}

struct Dot {
  float x, y, radius;
  Colour colour;
};

Dot any_dot(Random& random) {
  return {between(random, 0, kSide), between(random, 0, kSide), between(random, 1.0f, 2.5f),
          any_colour(random)};
}

void draw(const ShapeClass& shape, Random random, uint8_t* image) {
  const Colour background = any_colour(random);
  const Colour foreground = distinct_colour(random, background);
  const float slope_x = between(random, -1.5f, 1.5f), slope_y = between(random, -1.5f, 1.5f);
  const float radius = between(random, 6.0f, 13.0f);
  const float centre_x = between(random, radius, kSide - radius);
  const float centre_y = between(random, radius, kSide - radius);
  const float slant = between(random, -0.25f, 0.25f);  // in radians: no stripe turns into the other kind
  const float cosine = std::cos(slant) / radius, sine = std::sin(slant) / radius;
  const std::array<Dot, 2> dots{any_dot(random), any_dot(random)};

  for (int64_t h = 0; h < kSide; ++h) {
    for (int64_t w = 0; w < kSide; ++w) {
      const float x = static_cast<float>(w), y = static_cast<float>(h);
      float coverage = 0;  // by the shape, from four samples in the pixel
      for (const float sample_y : {y + 0.25f, y + 0.75f}) {
        for (const float sample_x : {x + 0.25f, x + 0.75f}) {
          const float dx = sample_x - centre_x, dy = sample_y - centre_y;
          if (shape.contains(cosine * dx + sine * dy, cosine * dy - sine * dx)) coverage += 0.25f;
        }
      }
      const float shade = slope_x * (x - kSide / 2.0f) + slope_y * (y - kSide / 2.0f);
      for (size_t c = 0; c < 3; ++c) {
        float value = (1.0f - coverage) * (background[c] + shade) + coverage * foreground[c];
        for (const Dot& dot : dots) {
          if (std::hypot(x + 0.5f - dot.x, y + 0.5f - dot.y) < dot.radius) value = dot.colour[c];
        }
        value = std::clamp(value + noise(random), 0.0f, 255.0f);
        *image++ = static_cast<uint8_t>(value + 0.5f);
      }
    }
  }
}

}  // namespace

ImageSet synthetic_images(Split split, int64_t count, uint64_t seed, int64_t first) {
  constexpr int64_t kLimit = int64_t{1} << 32;  // of the sample in a random number's key
  check<UsageError>(count >= 1 && first >= 0 && first <= kLimit - 1 && count <= kLimit - first,
                    "synthetic_images: images ", first, " to ", first, " + ", count,
                    " wanted, the numbers go from 0 to ", kLimit - 1);
  ImageSet set{"synthetic",
               Tensor::empty({count, kSide, kSide, 3}, Dtype::u8),
               Tensor::empty({count}, Dtype::i32),
               {}};
  for (const ShapeClass& shape : kClasses) set.class_names.emplace_back(shape.name);

  uint8_t* images = set.images.data<uint8_t>();
  int32_t* labels = set.labels.data<int32_t>();
  parallel_for(count, /*grain=*/16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t label = (first + i) % kClassCount;
      const Random random(seed, Purpose::synthetic_images, split == Split::train ? 0 : 1,
                          static_cast<uint32_t>(first + i));
      labels[i] = static_cast<int32_t>(label);
      draw(kClasses[label], random, images + i * kSide * kSide * 3);
    }
  });
  return set;
}

}  // namespace fovea
