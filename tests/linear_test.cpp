#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("linear: properties") {
  std::vector<OperationCase> cases;
  // Ones, primes, around a vector, and more than one tile of the result in each direction.
  const Shape sizes[] = {{1, 1, 1},   {1, 5, 1},   {7, 1, 3},    {2, 3, 5},   {8, 16, 17},
                         {15, 9, 31}, {33, 31, 7}, {129, 11, 3}, {65, 2, 515}};
  for (const Shape& size : sizes) {
    const int64_t N = size[0], C = size[1], K = size[2];
    cases.push_back({str("[", N, ", ", C, "] to ", K),
                     {{{N, C}}, {{K, C}}, {{K}}},
                     [](const Inputs& x) { return F::linear(x[0], x[1], x[2]); },
                     std::max({N, C, K})});
  }
  cases.push_back({"without bias",
                   {{{5, 7}}, {{3, 7}}},
                   [](const Inputs& x) { return F::linear(x[0], x[1], Variable()); },
                   7});
  cases.push_back({"of data",
                   {{{5, 7}, Fill::normal, false}, {{3, 7}}, {{3}}},
                   [](const Inputs& x) { return F::linear(x[0], x[1], x[2]); },
                   7});
  check_operation("linear", cases);
}

TEST_CASE("linear: by hand") {
  const Variable x = parameter({1, 2}, {1, 2}), weight = parameter({3, 4, 5, 6}, {2, 2});
  const Variable bias = parameter({0.5, -1}, {2});
  const Variable y = F::linear(x, weight, bias);
  check_near(y.value(), {11.5, 16});
  y.backward(Tensor::from<double>({1, 10}, {1, 2}));
  check_near(x.grad(), {53, 64});
  check_near(weight.grad(), {1, 2, 10, 20});
  check_near(bias.grad(), {1, 10});
}

TEST_CASE("linear: no rows have gradients of 0") {
  const Variable weight(Tensor::full({3, 5}, 2.0), true), bias(Tensor::full({3}, 2.0), true);
  F::linear(Tensor::zeros({0, 5}), weight, bias).backward(Tensor::zeros({0, 3}));
  check_near(weight.grad(), std::vector<double>(15, 0.0));
  check_near(bias.grad(), {0, 0, 0});
}

TEST_CASE("linear: shapes that do not fit are errors") {
  const Variable x(Tensor::zeros({2, 3})), weight(Tensor::zeros({4, 3})), none;
  check_error("linear", [&] { F::linear(x, Tensor::zeros({3, 4}), none); });
  check_error("linear", [&] { F::linear(x, weight, Tensor::zeros({5})); });
  check_error("linear", [&] { F::linear(x, weight, Tensor::zeros({4}, Dtype::f64)); });
  check_error("linear", [&] { F::linear(x, Tensor::zeros({4, 3}, Dtype::f64), none); });
  check_error("linear", [&] { F::linear(Tensor::zeros({2, 1, 3}), weight, none); });
}
