// The layers with parameters: their initial values, and that forward is the operation of their name.
#include <catch2/catch.hpp>
#include <cmath>

#include "fovea/layers/conv.h"
#include "fovea/layers/linear.h"
#include "fovea/layers/norm.h"
#include "layer_check.h"
#include "op_test.h"

namespace fovea {
namespace {

struct Moments {
  double mean = 0, deviation = 0, least = 0, largest = 0;
};

Moments moments(const Variable& variable) {
  const std::vector<double> values = variable.value().to_doubles();
  Moments m{.least = values[0], .largest = values[0]};
  double squares = 0;
  for (const double value : values) {
    m.mean += value / static_cast<double>(values.size());
    squares += value * value / static_cast<double>(values.size());
    m.least = std::min(m.least, value);
    m.largest = std::max(m.largest, value);
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

TEST_CASE("conv: initial values are normal, of deviation sqrt(2 / fan-out)") {
  Rng rng(/*seed=*/1);
  const int64_t C = 48, K = 64, R = 3;
  const Conv conv(C, K, R, /*stride=*/1, /*padding=*/1, rng);
  const Moments m = moments(conv.weight);
  const double deviation = std::sqrt(2.0 / (64 * 3 * 3));
  // 27,648 numbers: the mean is known to 0.6%, the deviation to 0.43% of the deviation; four times that.
  CHECK(std::abs(m.mean) < 0.024 * deviation);
  CHECK(std::abs(m.deviation - deviation) < 0.017 * deviation);
  CHECK(m.largest > 3.5 * deviation);  // not uniform, not cut off
  CHECK_FALSE(conv.bias.defined());
}

TEST_CASE("conv: a bias starts at zero and is a parameter") {
  Rng rng(/*seed=*/1);
  Conv conv(/*C=*/3, /*K=*/5, /*kernel=*/1, /*stride=*/1, /*padding=*/0, rng, /*has_bias=*/true);
  CHECK(conv.bias.value().to_doubles() == std::vector<double>(5, 0.0));
  CHECK(parameter_count(conv) == 3 * 5 + 5);
}

TEST_CASE("linear: initial values are uniform between -1/sqrt(C) and 1/sqrt(C)") {
  Rng rng(/*seed=*/1);
  const int64_t C = 64, K = 500;
  const Linear linear(C, K, rng);
  for (const Variable& variable : {linear.weight, linear.bias}) {
    const Moments m = moments(variable);
    const double bound = 1.0 / 8;
    CHECK(m.least >= -bound);
    CHECK(m.largest <= bound);
    CHECK(m.largest - m.least > 1.95 * bound);
    CHECK(std::abs(m.mean) < 0.1 * bound);
    CHECK(std::abs(m.deviation - bound / std::sqrt(3.0)) < 0.05 * bound);
  }
}

TEST_CASE("initial values: each parameter has its own numbers, and the seed decides them") {
  Rng rng(/*seed=*/1), again(/*seed=*/1), other(/*seed=*/2);
  const auto draw = [](Rng& from) { return Linear(/*C=*/3, /*K=*/4, from).weight.value(); };
  const Tensor first = draw(rng), second = draw(rng);
  CHECK_FALSE(test::same_bits(first, second));
  CHECK(test::same_bits(first, draw(again)));
  CHECK_FALSE(test::same_bits(first, draw(other)));
}

TEST_CASE("batch norm: starts as the identity of standardised numbers") {
  const BatchNorm norm(3);
  CHECK(norm.weight.value().to_doubles() == std::vector<double>(3, 1.0));
  CHECK(norm.bias.value().to_doubles() == std::vector<double>(3, 0.0));
  CHECK(norm.running_mean.to_doubles() == std::vector<double>(3, 0.0));
  CHECK(norm.running_variance.to_doubles() == std::vector<double>(3, 1.0));
}

TEST_CASE("batch norm: evaluation takes the running statistics and leaves them alone") {
  BatchNorm norm(1);
  const Tensor x = Tensor::from<float>({1, 2, 3, 6}, {4, 1});
  norm.train(false);
  test::check_near(norm.forward(x).value(), {1, 2, 3, 6}, 1e-5);  // running mean 0, variance 1
  CHECK(norm.running_mean.item() == 0);
  CHECK(norm.running_variance.item() == 1);

  norm.train();
  norm.forward(x);  // mean 3, unbiased variance (4 + 1 + 0 + 9) / 3
  test::check_near(norm.running_mean, {0.3}, 1e-6);
  test::check_near(norm.running_variance, {0.9 + 0.1 * 14 / 3}, 1e-6);
}

TEST_CASE("layers: sizes below 1 are named") {
  Rng rng(/*seed=*/1);
  test::check_error("Conv", [&] { Conv(0, 1, 1, 1, 0, rng); });
  test::check_error("Conv", [&] { Conv(1, 1, 1, 0, 0, rng); });
  test::check_error("Conv", [&] { Conv(1, 1, 1, 1, -1, rng); });
  test::check_error("Linear", [&] { Linear(1, 0, rng); });
}

}  // namespace
}  // namespace fovea
