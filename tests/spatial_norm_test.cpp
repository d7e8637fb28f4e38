#include <cmath>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("spatial_norm: properties") {
  std::vector<OperationCase> cases;
  for (const Shape& shape :
       {Shape{2, 3, 4, 1}, Shape{1, 2, 5, 7}, Shape{2, 5, 3, 8}, Shape{1, 7, 1, 15}, Shape{3, 1, 6, 16},
        Shape{1, 4, 4, 17}, Shape{2, 8, 8, 33}, Shape{9, 4, 4, 64}, Shape{3, 19, 31, 16}}) {
    cases.push_back({shape.str(),
                     {{shape}},
                     [](const Inputs& x) { return F::spatial_norm(x[0]); },
                     /*terms=*/shape[1] * shape[2]});
  }
  check_operation("spatial_norm", cases);
}

TEST_CASE("spatial_norm: by hand") {
  const Variable x = parameter({1, 5, 3, 7}, {1, 2, 2, 1});  // mean 4, variance 5
  const Variable y = F::spatial_norm(x);
  const double rstd = 1 / std::sqrt(5 + 1e-5);
  check_near(y.value(), {-3 * rstd, rstd, -rstd, 3 * rstd});
  y.backward(Tensor::from<double>({4, 0, 0, 0}, {1, 2, 2, 1}));
  // mean of dy = 1, mean of dy * z = -3 * rstd.
  const double slope = 3 * rstd * rstd;
  check_near(x.grad(),
             {rstd * (3 - 3 * slope), rstd * (-1 + slope), rstd * (-1 - slope), rstd * (-1 + 3 * slope)});
}

TEST_CASE("spatial_norm: one pixel becomes 0") {
  const Variable x = parameter({5, -7}, {1, 1, 1, 2});
  const Variable y = F::spatial_norm(x);
  check_near(y.value(), {0, 0});
  y.backward(Tensor::from<double>({1, 2}, {1, 1, 1, 2}));
  check_near(x.grad(), {0, 0});
}

TEST_CASE("spatial_norm: a mean far from 0 does not cost the deviation its digits") {
  // The steps of 1/16 are exact in f32 at 4096, while the square of 4096 would swallow their squares.
  std::vector<float> near_zero, far_out;
  for (int i = 0; i < 64; ++i) {
    near_zero.push_back(static_cast<float>(i % 9) / 16);
    far_out.push_back(4096 + near_zero.back());
  }
  const Tensor wanted = F::spatial_norm(Tensor::from(near_zero, {1, 8, 8, 1})).value();
  for (const Device device : devices()) {
    INFO(device);
    check_near(F::spatial_norm(Tensor::from(far_out, {1, 8, 8, 1}).to(device)).value(), wanted, 1e-5);
  }
}

TEST_CASE("spatial_norm: errors") {
  check_error("spatial_norm", [] { F::spatial_norm(Tensor::zeros({2, 3, 4})); });
  check_error("spatial_norm", [] { F::spatial_norm(Tensor::zeros({2, 3, 0, 4})); });
  check_error("spatial_norm", [] { F::spatial_norm(Tensor::zeros({1, 2, 3, 4}, Dtype::i64)); });
}
