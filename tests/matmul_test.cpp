#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("matmul: properties") {
  std::vector<OperationCase> cases;
  // Ones, primes, around a vector, and more than one tile of the result in each direction.
  const Shape sizes[] = {{1, 1, 1},   {1, 5, 1},   {7, 1, 3},    {2, 3, 5},   {8, 16, 17},
                         {15, 9, 31}, {33, 31, 7}, {129, 11, 3}, {65, 2, 515}};
  for (const Shape& size : sizes) {
    const int64_t M = size[0], K = size[1], N = size[2];
    cases.push_back({str("[", M, ", ", K, "] x [", K, ", ", N, "]"),
                     {{{M, K}}, {{K, N}}},
                     [](const Inputs& x) { return F::matmul(x[0], x[1]); },
                     std::max({M, K, N})});
  }
  check_operation("matmul", cases);
}

TEST_CASE("matmul: by hand") {
  const Variable a = parameter({1, 2, 3, 4}, {2, 2}), b = parameter({5, 6}, {2, 1});
  const Variable y = F::matmul(a, b);
  check_near(y.value(), {17, 39});
  y.backward(Tensor::from<double>({1, 10}, {2, 1}));
  check_near(a.grad(), {5, 6, 50, 60});
  check_near(b.grad(), {31, 42});
}

TEST_CASE("matmul: nothing to add up gives zeros") {
  check_near(F::matmul(Tensor::zeros({2, 0}), Tensor::zeros({0, 3})).value(), {0, 0, 0, 0, 0, 0}, 0);
}

TEST_CASE("matmul: shapes that do not fit are errors") {
  const Variable a(Tensor::zeros({2, 3})), b(Tensor::zeros({3, 4}));
  check_error("matmul", [&] { F::matmul(a, a); });
  check_error("matmul", [&] { F::matmul(a, Tensor::zeros({3})); });
  check_error("matmul", [&] { F::matmul(a, Tensor::zeros({3, 4}, Dtype::f64)); });
  check_error("matmul", [] {
    F::matmul(Tensor::zeros({2, 3}, Dtype::i32), Tensor::zeros({3, 2}, Dtype::i32));
  });
}
