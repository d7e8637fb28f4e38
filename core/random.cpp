#include "fovea/core/random.h"

#include <cmath>
#include <numbers>

namespace fovea {

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
