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

TEST_CASE("relu: integers are an error") {
  check_error("relu", [] { F::relu(Tensor::zeros({2}, Dtype::i32)); });
}
