#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Geometry {
  Shape x;
  int64_t window, stride, padding;
};

OperationCase pool_case(const Geometry& g) {
  return {str(g.x, " window ", g.window, " stride ", g.stride, " padding ", g.padding),
          {{g.x}},
          [g](const Inputs& x) { return F::average_pool(x[0], g.window, g.stride, g.padding); },
          /*terms=*/g.window * g.window};
}

}  // namespace

TEST_CASE("average_pool: properties") {
  std::vector<OperationCase> cases;
  for (const int64_t C : {1, 7, 8, 15, 16, 17, 33}) cases.push_back(pool_case({{2, 5, 6, C}, 3, 2, 1}));
  cases.push_back(pool_case({{1, 1, 1, 3}, 3, 2, 1}));
  cases.push_back(pool_case({{1, 8, 8, 2}, 2, 2, 0}));
  cases.push_back(pool_case({{1, 7, 11, 2}, 1, 3, 0}));
  cases.push_back(pool_case({{1, 9, 7, 2}, 2, 5, 1}));
  cases.push_back(pool_case({{1, 16, 17, 3}, 15, 1, 7}));
  cases.push_back(pool_case({{3, 15, 17, 24}, 3, 1, 1}));  // several blocks of a device
  check_operation("average_pool", cases);
}

TEST_CASE("average_pool: by hand, padding counts as zeros") {
  const Variable x = parameter({1, 2, 3, 4}, {1, 2, 2, 1});
  const Variable y = F::average_pool(x, /*window=*/2, /*stride=*/1, /*padding=*/1);  // [1, 3, 3, 1]
  check_near(y.value(), {0.25, 0.75, 0.5, 1, 2.5, 1.5, 0.75, 1.75, 1});
  y.backward(Tensor::from<double>({4, 0, 0, 0, 8, 0, 0, 0, 16}, {1, 3, 3, 1}));
  check_near(x.grad(), {3, 2, 2, 6});
}

TEST_CASE("average_pool: a window of the whole image is the global average") {
  const OperationCase one{"[2, 4, 4, 5]", {{{2, 4, 4, 5}}}, [](const Inputs& x) {
                            return F::reshape(F::average_pool(x[0], 4, 1, 0), {2, 5});
                          }};
  check_same_function(one, [](const Inputs& x) { return F::global_average(x[0]); });
}

TEST_CASE("average_pool: errors") {
  const Variable x = Tensor::zeros({1, 4, 4, 2});
  check_error("average_pool", [&] { F::average_pool(Tensor::zeros({4, 4, 2}), 3, 2, 1); });
  check_error("average_pool", [&] { F::average_pool(x, 0, 1, 0); });
  check_error("average_pool", [&] { F::average_pool(x, 5, 1, 0); });
  check_error("average_pool", [&] { F::average_pool(x, 3, 1, 2); });
  check_error("average_pool", [&] { F::average_pool(Tensor::zeros({1, 4, 4, 2}, Dtype::u8), 2, 1, 1); });
}
