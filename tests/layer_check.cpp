#include "layer_check.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "fovea/core/random.h"

namespace fovea::test {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// from + step * direction
Tensor moved(const Tensor& from, double step, const std::vector<double>& direction) {
  Tensor result = from.clone();
  for (size_t i = 0; i < direction.size(); ++i) result.data<double>()[i] += step * direction[i];
  return result;
}

}  // namespace

Tensor random_tensor(const Shape& shape, uint32_t stream, Dtype dtype) {
  return normal(shape, Random(/*seed=*/11, Purpose::test, /*epoch=*/0, stream), 1.0f, dtype);
}

Tensor random_labels(int64_t N, int64_t classes, uint32_t stream) {
  Random random(/*seed=*/12, Purpose::test, /*epoch=*/0, stream);
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < N; ++n) {
    labels.push_back(static_cast<int32_t>(random.below(static_cast<uint32_t>(classes))));
  }
  return Tensor::from(labels, {N});
}

void check_layer_gradient(Module& layer, const std::function<Variable(const Variable&)>& forward,
                          const Shape& x_shape) {
  constexpr double kStep = 1e-6;  // small, so that few kinks lie between the two points
  convert_to(layer, Dtype::f64);
  const Variable x(random_tensor(x_shape, 0, Dtype::f64), /*requires_grad=*/true);
  std::vector<NamedParameter> leaves = named_parameters(layer);
  leaves.push_back({"x", x});

  const Variable y = forward(x);
  const Tensor dy = random_tensor(y.shape(), 1, Dtype::f64);
  y.backward(dy);
  const NoGrad no_grad;
  const std::vector<double> weights = dy.to_doubles();
  // Rounding alone makes differences of this size; some gradients are zero but for an epsilon.
  const std::vector<double> output = y.value().to_doubles();
  const double rounding = 0x1p-52 * std::sqrt(dot(weights, weights) * dot(output, output)) / kStep;
  const auto projected = [&] { return dot(weights, forward(x).value().to_doubles()); };
  for (size_t i = 0; i < leaves.size(); ++i) {
    Variable& leaf = leaves[i].variable;
    INFO("gradient of " << leaves[i].path);
    REQUIRE(leaf.grad().defined());
    const std::vector<double> gradient = leaf.grad().to_doubles();
    const std::vector<double> direction =
        random_tensor(leaf.shape(), static_cast<uint32_t>(2 + i), Dtype::f64).to_doubles();
    const Tensor before = leaf.value();
    leaf.value() = moved(before, kStep, direction);
    const double above = projected();
    leaf.value() = moved(before, -kStep, direction);
    const double below = projected();
    leaf.value() = before;
    const double length = std::sqrt(dot(gradient, gradient) * dot(direction, direction));
    INFO(dot(gradient, direction) << ", differences give " << (above - below) / (2 * kStep));
    CHECK(length > 0);
    CHECK(std::abs(dot(gradient, direction) - (above - below) / (2 * kStep)) <= 1e-7 * length + rounding);
  }
}

double relative_distance(const Tensor& found, const Tensor& wanted) {
  REQUIRE(found.shape() == wanted.shape());
  const std::vector<double> a = found.to_doubles(), b = wanted.to_doubles();
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return std::sqrt(dot(difference, difference) / dot(b, b));
}

}  // namespace fovea::test
