#include <cmath>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("channel_norm: properties") {
  std::vector<OperationCase> cases;
  for (const int64_t C : {2, 7, 8, 9, 15, 16, 17, 33, 64, 131, 264}) {
    cases.push_back({str("C = ", C),
                     {{{2, 3, 2, C}, Fill::away_from_zero}},
                     [](const Inputs& x) { return F::channel_norm(x[0]); },
                     /*terms=*/C});
  }
  cases.push_back({"one position", {{{1, 1, 1, 5}}}, [](const Inputs& x) { return F::channel_norm(x[0]); }});
  cases.push_back({"many positions", {{{3, 11, 7, 4}, Fill::away_from_zero}}, [](const Inputs& x) {
                     return F::channel_norm(x[0]);
                   }});
  cases.push_back({"more positions than a grid has at once",
                   {{{2, 21, 31, 64}, Fill::away_from_zero}},
                   [](const Inputs& x) { return F::channel_norm(x[0]); },
                   /*terms=*/64});
  check_operation("channel_norm", cases);
}

TEST_CASE("channel_norm: by hand") {
  const Variable x = parameter({3, 4, 0, -2}, {1, 1, 2, 2});
  const Variable y = F::channel_norm(x);
  check_near(y.value(), {0.6, 0.8, 0, -1});
  y.backward(Tensor::from<double>({1, 0, 1, 7}, {1, 1, 2, 2}));
  // dx = (dy - x <dy, x> / ||x||^2) / ||x||: (1 - 9/25) / 5, (0 - 12/25) / 5; what lies along x is lost.
  check_near(x.grad(), {0.128, -0.096, 0.5, 0});
}

TEST_CASE("channel_norm: a single channel keeps its sign alone") {
  const Variable x = parameter({5, -0.25}, {1, 1, 2, 1});
  const Variable y = F::channel_norm(x);
  check_near(y.value(), {1, -1});
  y.backward(Tensor::from<double>({3, 4}, {1, 1, 2, 1}));
  check_near(x.grad(), {0, 0});
}

TEST_CASE("channel_norm: below 1e-12 the norm counts as 1e-12") {
  const Variable x = parameter({0, 0, 3e-14, 4e-14}, {1, 1, 2, 2});
  const Variable y = F::channel_norm(x);
  check_near(y.value(), {0, 0, 0.03, 0.04});
  y.backward(Tensor::from<double>({1, 2, 3, 4}, {1, 1, 2, 2}));
  check_near(x.grad(), {1e12, 2e12, 3e12, 4e12});

  for (const Device device : devices()) {
    INFO("f32 on " << device);
    const Variable small(cast(x.value(), Dtype::f32).to(device), /*requires_grad=*/true);
    const Variable normal = F::channel_norm(small);
    check_near(normal.value(), {0, 0, 0.03, 0.04}, 1e-6);
    normal.backward(Tensor::from<float>({1, 2, 3, 4}, {1, 1, 2, 2}).to(device));
    check_near(small.grad(), {1e12, 2e12, 3e12, 4e12}, 1e-6);
  }
}

TEST_CASE("channel_norm: errors") {
  check_error("channel_norm", [] { F::channel_norm(Tensor::zeros({2, 3, 4})); });
  check_error("channel_norm", [] { F::channel_norm(Tensor::zeros({1, 2, 3, 4}, Dtype::i32)); });
}
