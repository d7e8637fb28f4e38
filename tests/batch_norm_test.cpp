#include <cmath>

#include "fovea/core/captured_graph.h"
#include "fovea/kernels/arithmetic.h"
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
  const Device device = in[0].value().device();
  Tensor mean = Tensor::full(channels, 0.1, dtype, device),
         variance = Tensor::full(channels, 1.5, dtype, device);
  return operation(in[0], in[1], in[2], mean, variance, {.training = training});
}

/// At least five rows: with fewer, dx is a small difference of large numbers in some channel.
std::vector<OperationCase> cases(BatchNorm operation, bool training) {
  std::vector<OperationCase> table;
  for (const Shape& x :
       {Shape{5, 1}, Shape{7, 1, 1, 3}, Shape{3, 5, 1, 7}, Shape{1, 5, 7, 16}, Shape{2, 6, 4, 8},
        Shape{2, 2, 4, 3}, Shape{2, 3, 3, 17}, Shape{13, 31}, Shape{4, 2, 2, 33}, Shape{2, 2, 4, 64},
        Shape{11, 67}, Shape{8, 9, 8, 130}, Shape{4201, 8}, Shape{5, 6, 11, 64}}) {
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

/// Root mean square of what is found, relative to what is wanted.
double relative_error(const Tensor& found, const std::vector<double>& wanted) {
  const std::vector<double> numbers = found.to_doubles();
  double squares = 0;
  for (size_t i = 0; i < wanted.size(); ++i) squares += std::pow(numbers[i] / wanted[i] - 1, 2);
  return std::sqrt(squares / static_cast<double>(wanted.size()));
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
  const auto check_statistics = [](const Tensor& x) {
    const int64_t C = x.shape(1), rows = x.shape(0);
    const std::vector<double> numbers = x.to_doubles();
    std::vector<double> means, variances;
    for (int64_t c = 0; c < C; ++c) {
      double sum = 0, squares = 0;
      for (int64_t row = 0; row < rows; ++row) sum += numbers[static_cast<size_t>(row * C + c)];
      means.push_back(sum / static_cast<double>(rows));
      for (int64_t row = 0; row < rows; ++row) {
        squares += std::pow(numbers[static_cast<size_t>(row * C + c)] - means.back(), 2);
      }
      variances.push_back(squares / static_cast<double>(rows));
    }
    for (const Device device : devices()) {
      INFO(x << " on " << device);
      Tensor mean = Tensor::empty({C}, Dtype::f32, device), variance = Tensor::empty_like(mean);
      kernels::batch_norm_statistics(x.to(device), mean, variance);
      for (size_t c = 0; c < means.size(); ++c) {
        CHECK(mean.to_doubles()[c] == Approx(means[c]).epsilon(1e-6));
        CHECK(variance.to_doubles()[c] == Approx(variances[c]).epsilon(1e-5));
      }
    }
  };
  Random random(1, Purpose::test);
  for (const Shape& shape : {Shape{10007, 3}, Shape{5003, 16}, Shape{9, 64}}) {
    std::vector<float> steps, around_100;
    for (int64_t i = 0; i < shape.size(); ++i) {
      steps.push_back(4096.0f + 0.25f * static_cast<float>(random.below(5)));
      around_100.push_back(100.0f + random.normal());
    }
    check_statistics(Tensor::from(steps, shape));
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      check_statistics(cast(Tensor::from(around_100, shape), dtype));
    }
  }
}

TEST_CASE("batch_norm_statistics: equal numbers have variance 0, also where the first is another") {
  for (const Device device : devices()) {
    INFO(device);
    const int64_t rows = 4000, C = 16;
    Tensor mean = Tensor::empty({C}, Dtype::f32, device), variance = Tensor::empty_like(mean);
    kernels::batch_norm_statistics(Tensor::full({rows, C}, 1000.1, Dtype::f32, device), mean, variance);
    CHECK(mean.to_doubles() == std::vector<double>(C, static_cast<double>(1000.1f)));
    CHECK(variance.to_doubles() == std::vector<double>(C, 0.0));

    std::vector<float> numbers(static_cast<size_t>(rows * C), 1000.0f);
    std::fill_n(numbers.begin(), C, 0.0f);
    kernels::batch_norm_statistics(Tensor::from(numbers, {rows, C}).to(device), mean, variance);
    const double share = 1.0 / static_cast<double>(rows);
    check_near(mean, std::vector<double>(C, 1000 * (1 - share)), 1e-6);
    check_near(variance, std::vector<double>(C, 1e6 * share * (1 - share)), 1e-4);
  }
}

TEST_CASE("batch_norm: sums over many rows carry no more error than a few roundings") {
  // Root mean square over the channels, in half units of the last place. One f32 sum over the 1,024 rows of a
  // chunk, as differences from its first row, has 6 to 24.
  constexpr double kMost = 3.0;
  for (const Device device : devices()) {
    for (const auto& [rows, C] : {std::pair<int64_t, int64_t>{1024, 64},
                                  {8192, 64},
                                  {4096, 128},
                                  {16384, 16},
                                  {2048, 256},
                                  {8192, 3},
                                  {1024, 1024}}) {
      INFO(rows << " x " << C << " on " << device);
      const Tensor x = normal({rows, C}, Random(7, Purpose::test));
      std::vector<double> variances;
      for (int64_t c = 0; c < C; ++c) {
        double sum = 0, squares = 0;
        for (int64_t row = 0; row < rows; ++row) {
          const double value = static_cast<double>(x.data<float>()[row * C + c]);
          sum += value;
          squares += value * value;
        }
        const double share = 1.0 / static_cast<double>(rows);
        variances.push_back(squares * share - sum * share * (sum * share));
      }
      Tensor mean = Tensor::empty({C}, Dtype::f32, device), variance = Tensor::empty_like(mean);
      kernels::batch_norm_statistics(x.to(device), mean, variance);
      const double error = relative_error(variance, variances) * 0x1p24;
      CHECK(error < kMost);
    }
  }
}

TEST_CASE("batch_norm: a forward pass moves the running statistics, by hand") {
  for (const Device device : devices()) {
    INFO(device);
    Tensor mean = Tensor::from<float>({1, 10}, {2}).to(device),
           variance = Tensor::from<float>({4, 8}, {2}).to(device);
    const Tensor batch_mean = Tensor::from<float>({3, -10}, {2}).to(device),
                 batch_variance = Tensor::from<float>({3, 6}, {2}).to(device);
    const Tensor weight = Tensor::full({2}, 1).to(device), bias = Tensor::full({2}, 0).to(device);
    const auto forward = [&](int64_t rows, double momentum) {
      const Tensor x = Tensor::full({rows, 2}, 1).to(device);
      Tensor y = Tensor::empty_like(x);
      kernels::batch_norm_forward(
          x, {batch_mean, batch_variance, weight, bias, 1e-5, true, {mean, variance, momentum}}, false, y);
    };
    forward(/*rows=*/4, /*momentum=*/0.25);
    check_near(mean, {1.5, 5}, 1e-7);
    check_near(variance, {4, 8}, 1e-7);  // the unbiased variances are 4 and 8
    forward(/*rows=*/1, /*momentum=*/1.0);
    check_near(variance, {3, 6}, 1e-7);
  }
}

TEST_CASE("batch_norm_relu: captured into a graph and replayed, it gives the same bits") {
  if (cuda_status().device_count == 0) return;
  const Device device = Device::cuda();
  const Shape shape{700, 64}, channels{64};
  const Tensor values = cast(normal(shape, Random(5, Purpose::test)), Dtype::bf16);
  Tensor x = values.to(device);
  const Tensor dy = cast(normal(shape, Random(6, Purpose::test)), Dtype::bf16).to(device);
  const Tensor weight = Tensor::full(channels, 1.5, Dtype::f32, device),
               bias = Tensor::full(channels, 0.25, Dtype::f32, device);
  Tensor mean = Tensor::empty_like(weight), variance = Tensor::empty_like(weight),
         dweight = Tensor::empty_like(weight), dbias = Tensor::empty_like(weight);
  Tensor y = Tensor::empty_like(x), dx = Tensor::empty_like(x);
  const kernels::NormConstants norm{mean, variance, weight, bias};
  const auto step = [&] {
    kernels::batch_norm_statistics(x, mean, variance);
    kernels::batch_norm_forward(x, norm, /*has_relu=*/true, y);
    kernels::batch_norm_backward_reduce(dy, x, norm, /*has_relu=*/true, dweight, dbias);
    kernels::batch_norm_backward_input(dy, x, norm, dweight, dbias, /*has_relu=*/true, /*other=*/{}, dx);
  };
  step();
  const std::vector<Tensor> wanted{mean.clone(), variance.clone(), y.clone(), dweight.clone(), dx.clone()};
  const CapturedGraph graph(device, step);
  x.fill_with_zeros();
  graph.replay();
  CHECK(variance.to_doubles() == std::vector<double>(64, 0.0));
  x.copy_from(values);
  graph.replay();
  const std::vector<Tensor> found{mean, variance, y, dweight, dx};
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(same_bits(found[i], wanted[i]));
}

TEST_CASE("batch_norm_relu: a NaN is not hidden") {
  Tensor mean = Tensor::zeros({1}), variance = Tensor::full({1}, 1.0);
  const Variable x = Tensor::full({2, 1}, std::nan(""));
  const Variable one = Tensor::full({1}, 1.0);
  const Variable y = F::batch_norm_relu(x, one, one, mean, variance, {.training = false});
  CHECK(std::isnan(y.value().data<float>()[0]));
}

TEST_CASE("batch_norm_relu: what is not a number passes the gradient on, as relu of batch norm") {
  for (const Device device : devices()) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
      if (device.is_cuda() && dtype == Dtype::f64) continue;
      for (const int64_t C : {3, 16, 72}) {
        INFO(dtype << ", " << C << " channels, on " << device);
        std::vector<double> numbers(static_cast<size_t>(4 * C), -1.0);
        numbers[static_cast<size_t>(C)] = std::nan("");          // row 1, channel 0
        numbers[static_cast<size_t>(2 * C) + 1] = std::nan("");  // row 2, channel 1
        const Variable x(cast(Tensor::from(numbers, {4, C}), dtype).to(device), true);
        const auto filled = [&](double value) {
          return Tensor::full({C}, value, accumulator_of(dtype), device);
        };
        const Variable weight(filled(1.0), true), bias(filled(0.0), true);
        Tensor mean = filled(0.0), variance = filled(1.0);
        const Variable y = F::batch_norm_relu(x, weight, bias, mean, variance, {.training = false});
        y.backward(Tensor::full({4, C}, 3.0, dtype, device));
        std::vector<double> dbias(static_cast<size_t>(C), 0.0);
        dbias[0] = dbias[1] = 3.0;
        CHECK(bias.grad().to_doubles() == dbias);
        const std::vector<double> results = y.value().to_doubles(), dx = x.grad().to_doubles();
        for (size_t i = 0; i < numbers.size(); ++i) {
          CHECK(std::isnan(results[i]) == std::isnan(numbers[i]));
          if (!std::isnan(numbers[i])) CHECK(dx[i] == 0);
        }
      }
    }
  }
}

TEST_CASE("batch_norm_statistics: the variance of what is not a number is none") {
  for (const Device device : devices()) {
    INFO(device);
    Tensor x = Tensor::full({100, 64}, 1.0);
    x.data<float>()[64 * 50] = std::nanf("");
    Tensor mean = Tensor::empty({64}, Dtype::f32, device), variance = Tensor::empty_like(mean);
    kernels::batch_norm_statistics(x.to(device), mean, variance);
    CHECK(std::isnan(mean.to_doubles()[0]));
    CHECK(std::isnan(variance.to_doubles()[0]));
    CHECK(variance.to_doubles()[1] == 0);
  }
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

TEST_CASE("batch_norm_backward_input: dx may be dy, or another gradient of x, which is added") {
  for (const Device device : devices()) {
    INFO(device);
    for (const int64_t C : {24, 7}) {
      const Shape shape{300, C}, channels{C};
      const Tensor x = normal(shape, Random(3, Purpose::test)).to(device);
      const Tensor one = Tensor::full(channels, 1.0, Dtype::f32, device),
                   half = Tensor::full(channels, 0.5, Dtype::f32, device);
      const Tensor dy = normal(shape, Random(4, Purpose::test)).to(device),
                   other = normal(shape, Random(5, Purpose::test)).to(device);
      const auto run = [&](const Tensor& gradient, const Tensor& added, Tensor& dx) {
        kernels::batch_norm_backward_input(gradient, x, {half, one, one, half}, one, half, /*has_relu=*/true,
                                           added, dx);
      };
      Tensor alone = Tensor::empty_like(dy), wanted = Tensor::empty_like(dy), sum = Tensor::empty_like(dy);
      Tensor over_dy = dy.clone(), over_other = other.clone();
      run(dy, {}, alone);
      kernels::add_forward(alone, other, sum);
      run(dy, other, wanted);
      check_near(wanted, sum, 1e-6);
      run(over_dy, other, over_dy);
      CHECK(same_bits(over_dy, wanted));
      run(dy, over_other, over_other);
      CHECK(same_bits(over_other, wanted));
    }
  }
}
