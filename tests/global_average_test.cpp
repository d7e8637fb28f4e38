#include <cmath>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("global_average: properties") {
  std::vector<OperationCase> cases;
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{3, 1, 4, 8}, Shape{1, 5, 1, 15},
                             Shape{2, 2, 2, 16}, Shape{1, 3, 3, 17}, Shape{2, 11, 13, 33},
                             Shape{17, 4, 4, 64}, Shape{3, 29, 31, 16}, Shape{2, 19, 17, 40}}) {
    cases.push_back({shape.str(),
                     {{shape}},
                     [](const Inputs& x) { return F::global_average(x[0]); },
                     /*terms=*/shape[1] * shape[2]});
  }
  check_operation("global_average", cases);
}

TEST_CASE("global_average: by hand") {
  const Variable x = parameter({1, 10, 2, 20, 3, 30, 6, 60}, {1, 2, 2, 2});
  const Variable y = F::global_average(x);
  REQUIRE(y.shape() == Shape{1, 2});
  check_near(y.value(), {3, 30});
  y.backward(Tensor::from<double>({4, 8}, {1, 2}));
  check_near(x.grad(), {1, 2, 1, 2, 1, 2, 1, 2});
}

TEST_CASE("global_average: many pixels do not cost digits") {
  const double wanted = static_cast<double>(1.1f);
  for (const Device device : devices()) {
    const Tensor x = Tensor::full({1, 512, 512, 1}, 1.1, Dtype::f32, device);
    CHECK(std::abs(F::global_average(x).value().item() - wanted) < 2e-5 * wanted);
  }
}

TEST_CASE("global_average: errors") {
  check_error("global_average", [] { F::global_average(Tensor::zeros({2, 3})); });
  check_error("global_average", [] { F::global_average(Tensor::zeros({2, 0, 3, 4})); });
  check_error("global_average", [] { F::global_average(Tensor::zeros({2, 3, 3, 4}, Dtype::u8)); });
}
