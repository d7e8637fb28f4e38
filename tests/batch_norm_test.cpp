#include <cmath>

#include "fovea/kernels/batch_norm.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

using BatchNorm = Variable (*)(const Variable&, const Variable&, const Variable&, Tensor&, Tensor&,
                               const F::BatchNormSettings&);

/// The operation with fresh running statistics: mean 0.1, variance 1.5.
Variable apply(BatchNorm operation, const Inputs& in, bool training) {
  const Shape channels{in[0].shape(-1)};
  const Dtype dtype = accumulator_of(in[0].dtype());
  Tensor mean = Tensor::full(channels, 0.1, dtype), variance = Tensor::full(channels, 1.5, dtype);
  return operation(in[0], in[1], in[2], mean, variance, {.training = training});
}

/// At least five rows: with fewer, dx is a small difference of large numbers in some channel.
std::vector<OperationCase> cases(BatchNorm operation, bool training) {
  std::vector<OperationCase> table;
  for (const Shape& x : {Shape{5, 1}, Shape{7, 1, 1, 3}, Shape{3, 5, 1, 7}, Shape{1, 5, 7, 16},
                         Shape{2, 6, 4, 8}, Shape{2, 2, 4, 3}, Shape{2, 3, 3, 17}, Shape{13, 31},
                         Shape{4, 2, 2, 33}, Shape{2, 2, 4, 64}, Shape{11, 67}, Shape{8, 9, 8, 130}}) {
    const Shape channels{x[-1]};
    const int64_t rows = x.size() / x[-1];
    table.push_back(
        {x.str(),
         {{x}, {channels, Fill::positive, true, /*stays_f32=*/true}, {channels, Fill::normal, true, true}},
         [=](const Inputs& in) { return apply(operation, in, training); },
         rows,
         /*step=*/1e-6});  // larger steps cross the kink of the relu
  }
  return table;
}

}  // namespace

TEST_CASE("batch_norm: properties in training") {
  check_operation("batch_norm", cases(F::batch_norm, true));
}

TEST_CASE("batch_norm: properties with running statistics") {
  check_operation("batch_norm", cases(F::batch_norm, false));
}

TEST_CASE("batch_norm_relu: properties in training") {
  check_operation("batch_norm_relu", cases(F::batch_norm_relu, true));
}

TEST_CASE("batch_norm_relu: properties with running statistics") {
  check_operation("batch_norm_relu", cases(F::batch_norm_relu, false));
}

TEST_CASE("batch_norm_relu: equals its composition") {
  for (const bool training : {true, false}) {
    for (const OperationCase& one : cases(F::batch_norm_relu, training)) {
      check_same_function(one, [&](const Inputs& in) { return F::relu(apply(F::batch_norm, in, training)); });
    }
  }
}

TEST_CASE("batch_norm: by hand") {
  const Variable x = parameter({1, 10, 3, 10, 5, 40}, {3, 2});
  const Variable weight = parameter({2, 1}, {2}), bias = parameter({1, -1}, {2});
  Tensor mean = Tensor::zeros({2}, Dtype::f64), variance = Tensor::full({2}, 1.0, Dtype::f64);
  const Variable y = F::batch_norm(x, weight, bias, mean, variance, {.epsilon = 0.0});
  const double a = std::sqrt(1.5), b = std::sqrt(0.5);  // variances are 8/3 and 200
  check_near(y.value(), {1 - 2 * a, -1 - b, 1, -1 - b, 1 + 2 * a, -1 + 2 * b});
  check_near(mean, {0.3, 2});
  check_near(variance, {0.9 + 0.1 * 4, 0.9 + 0.1 * 300});

  // Constant gradients vanish, and so does what is proportional to xhat.
  y.backward(Tensor::from<double>({1, 0, 1, 0, 1, 3}, {3, 2}));
  check_near(weight.grad(), {0, 6 * b});
  check_near(bias.grad(), {3, 3});
  check_near(x.grad(), {0, 0, 0, 0, 0, 0});
}

TEST_CASE("batch_norm: running statistics are used and left alone when not training") {
  const Variable x = parameter({1, 2, 3, 4}, {4, 1}), weight = parameter({3}, {1}),
                 bias = parameter({1}, {1});
  Tensor mean = Tensor::full({1}, 2.0, Dtype::f64), variance = Tensor::full({1}, 4.0, Dtype::f64);
  const Variable y = F::batch_norm(x, weight, bias, mean, variance, {.epsilon = 0.0, .training = false});
  check_near(y.value(), {-0.5, 1, 2.5, 4});
  check_near(mean, {2});
  check_near(variance, {4});
}

TEST_CASE("batch_norm_statistics: a mean far larger than the deviation does not cancel it") {
  const int64_t rows = 10007, C = 3;
  std::vector<float> values;
  Random random(1, Purpose::test);
  for (int64_t i = 0; i < rows * C; ++i)
    values.push_back(4096.0f + 0.25f * static_cast<float>(random.below(5)));
  Tensor mean = Tensor::empty({C}), variance = Tensor::empty({C});
  kernels::batch_norm_statistics(Tensor::from(values, {rows, C}), mean, variance);
  for (int64_t c = 0; c < C; ++c) {
    double sum = 0, squares = 0;
    for (int64_t row = 0; row < rows; ++row) sum += values[static_cast<size_t>(row * C + c)];
    for (int64_t row = 0; row < rows; ++row) {
      const double d = values[static_cast<size_t>(row * C + c)] - sum / static_cast<double>(rows);
      squares += d * d;
    }
    CHECK(mean.data<float>()[c] == Approx(sum / static_cast<double>(rows)).epsilon(1e-6));
    CHECK(variance.data<float>()[c] == Approx(squares / static_cast<double>(rows)).epsilon(1e-5));
  }
}

TEST_CASE("batch_norm_relu: a NaN is not hidden") {
  Tensor mean = Tensor::zeros({1}), variance = Tensor::full({1}, 1.0);
  const Variable x = Tensor::full({2, 1}, std::nan(""));
  const Variable one = Tensor::full({1}, 1.0);
  const Variable y = F::batch_norm_relu(x, one, one, mean, variance, {.training = false});
  CHECK(std::isnan(y.value().data<float>()[0]));
}

TEST_CASE("batch_norm: what does not fit is an error") {
  const Variable x = Tensor::zeros({4, 3}), one = Tensor::zeros({3});
  Tensor mean = Tensor::zeros({3}), variance = Tensor::zeros({3}), wrong = Tensor::zeros({2});
  check_error("batch_norm", [&] { F::batch_norm(x, wrong, one, mean, variance, {}); });
  check_error("batch_norm", [&] { F::batch_norm(x, one, wrong, mean, variance, {}); });
  check_error("batch_norm", [&] { F::batch_norm(x, one, one, wrong, variance, {}); });
  check_error("batch_norm_relu", [&] { F::batch_norm_relu(x, one, one, mean, wrong, {}); });
  check_error("batch_norm", [&] { F::batch_norm(Tensor::zeros({1, 3}), one, one, mean, variance, {}); });
  check_error("batch_norm", [&] { F::batch_norm(Tensor::zeros({3}), one, one, mean, variance, {}); });
}

TEST_CASE("batch_norm_relu: overwriting a gradient that nothing else holds gives the same bits") {
  const Tensor values = normal({6, 5, 4, 24}, Random(3, Purpose::test)),
               dy = normal({6, 5, 4, 24}, Random(4, Purpose::test));
  const auto gradient_of_x = [&](bool is_shared) {
    const Variable x(values, /*requires_grad=*/true);
    Variable weight(Tensor::full({24}, 1.5), true), bias(Tensor::full({24}, 0.25), true);
    Tensor mean = Tensor::zeros({24}), variance = Tensor::full({24}, 1.0);
    const Variable y = F::batch_norm_relu(x, weight, bias, mean, variance, {});
    if (is_shared) {
      y.backward(dy);  // held here as well
    } else {
      F::scale(y, 1.0).backward(dy);  // the backward pass of scale makes the gradient of y, and lets it go
    }
    return x.grad();
  };
  CHECK(same_bits(gradient_of_x(/*is_shared=*/false), gradient_of_x(/*is_shared=*/true)));
}
