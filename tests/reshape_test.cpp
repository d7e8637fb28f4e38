#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("reshape: properties") {
  const auto to = [](const Shape& shape) {
    return [shape](const Inputs& x) { return F::reshape(x[0], shape); };
  };
  check_operation("reshape", {
                                 {"a scalar to [1, 1]", {{{}}}, to({1, 1})},
                                 {"[1, 1] to a scalar", {{{1, 1}}}, to({})},
                                 {"[2, 3, 5, 7] to [6, 35]", {{{2, 3, 5, 7}}}, to({6, 35})},
                                 {"[17] to [17]", {{{17}}}, to({17})},
                             });
}

TEST_CASE("reshape: keeps the order and shares the numbers") {
  const Variable x = parameter({1, 2, 3, 4, 5, 6}, {2, 3});
  const Variable y = F::reshape(x, {3, 2});
  CHECK(y.shape() == Shape{3, 2});
  CHECK(y.value().raw() == x.value().raw());
  y.backward(Tensor::from<double>({1, 2, 3, 4, 5, 6}, {3, 2}));
  CHECK(x.grad().shape() == Shape{2, 3});
  check_near(x.grad(), {1, 2, 3, 4, 5, 6});
}

TEST_CASE("reshape: another number of elements is an error") {
  check_error("reshape", [] { F::reshape(Tensor::zeros({2, 3}), {7}); });
}
