#include <algorithm>
#include <cmath>
#include <limits>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("relu: properties") {
  const auto relu = [](const Inputs& x) { return F::relu(x[0]); };
  std::vector<OperationCase> cases;
  for (const int64_t size : {1, 7, 8, 9, 15, 16, 17, 31, 33, 997}) {
    cases.push_back({str("[", size, "]"), {{{size}, Fill::away_from_zero}}, relu});
  }
  cases.push_back({"an image", {{{2, 3, 5, 7}, Fill::away_from_zero}}, relu});
  check_operation("relu", cases);
}

TEST_CASE("relu: by hand, with zero and what is not a number") {
  const Variable x = parameter({-2, 0, 3}, {3});
  const Variable y = F::relu(x);
  check_near(y.value(), {0, 0, 3});
  y.backward(Tensor::from<double>({1, 1, 5}, {3}));
  check_near(x.grad(), {0, 0, 5});

  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<double> kept = F::relu(Tensor::full({33}, nan)).value().to_doubles();
  CHECK(std::all_of(kept.begin(), kept.end(), [](double number) { return number != number; }));
}

TEST_CASE("relu: what is not a number passes the gradient on, as in PyTorch") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const Device device : devices()) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
      if (device.is_cuda() && dtype == Dtype::f64) continue;
      INFO(dtype << " on " << device);
      const Tensor numbers = cast(Tensor::from<double>({kNan, -1, kNan, 2, 0}, {5}), dtype);
      const Variable x(numbers.to(device), /*requires_grad=*/true);
      const Variable y = F::relu(x);
      CHECK(std::isnan(y.value().to_doubles()[0]));
      y.backward(cast(Tensor::from<double>({7, 7, -3, 7, 7}, {5}), dtype).to(device));
      CHECK(x.grad().to_doubles() == std::vector<double>{7, 0, -3, 7, 0});
    }
  }
}

TEST_CASE("relu: integers are an error") {
  check_error("relu", [] { F::relu(Tensor::zeros({2}, Dtype::i32)); });
}
