#include <cmath>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

std::vector<OperationCase> row_cases(const Function& function) {
  std::vector<OperationCase> cases;
  for (const int64_t C : {1, 2, 7, 10, 15, 16, 17, 31, 33, 100}) {
    cases.push_back({str("[3, ", C, "]"), {{{3, C}}}, function, C});
  }
  cases.push_back({"a vector", {{{13}}}, function, 13});
  cases.push_back({"an image", {{{2, 3, 5, 7}}}, function, 7});
  cases.push_back({"more rows than a grid has at once", {{{2100, 10}}}, function, 10});
  cases.push_back({"rows longer than a warp", {{{5, 1000}}}, function, 1000});
  return cases;
}

}  // namespace

TEST_CASE("softmax: properties") {
  check_operation("softmax", row_cases([](const Inputs& x) { return F::softmax(x[0]); }));
}

TEST_CASE("log_softmax: properties") {
  check_operation("log_softmax", row_cases([](const Inputs& x) { return F::log_softmax(x[0]); }));
}

TEST_CASE("softmax and log_softmax: by hand") {
  const double ln2 = std::log(2.0), ln5 = std::log(5.0);
  const Variable x = parameter({ln2, 0, ln2 + 3, 0 + 3, ln5, 0}, {3, 2});
  check_near(F::softmax(x).value(), {2. / 3, 1. / 3, 2. / 3, 1. / 3, 5. / 6, 1. / 6});
  const Variable y = F::log_softmax(parameter({ln2, 0}, {1, 2}));
  check_near(y.value(), {std::log(2. / 3), std::log(1. / 3)});

  Variable z = parameter({0, 0}, {2});
  F::softmax(z).backward(Tensor::from<double>({1, 0}, {2}));
  check_near(z.grad(), {0.25, -0.25});
  z.zero_grad();
  F::log_softmax(z).backward(Tensor::from<double>({1, 0}, {2}));
  check_near(z.grad(), {0.5, -0.5});
}

TEST_CASE("softmax and log_softmax: large numbers neither overflow nor vanish") {
  const double ln2 = std::log(2.0);
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
    const Tensor x = cast(Tensor::from<double>({10000, 10000, -10000}, {3}), dtype);
    for (const Device device : devices()) {
      if (device.is_cuda() && dtype == Dtype::f64) continue;
      INFO(dtype << " on " << device);
      check_near(F::softmax(x.to(device)).value(), {0.5, 0.5, 0}, tolerance(dtype));
      check_near(F::log_softmax(x.to(device)).value(), {-ln2, -ln2, -20000 - ln2}, tolerance(dtype));
    }
  }
}

TEST_CASE("log_softmax is the logarithm of softmax") {
  const Tensor x = normal({5, 11}, Random(1, Purpose::test), 3.0f, Dtype::f64);
  std::vector<double> wanted = F::softmax(x).value().to_doubles();
  for (double& number : wanted) number = std::log(number);
  check_near(F::log_softmax(x).value(), wanted);
}

TEST_CASE("softmax and log_softmax: scalars and integers are errors") {
  check_error("softmax", [] { F::softmax(Tensor::zeros({})); });
  check_error("log_softmax", [] { F::log_softmax(Tensor::zeros({})); });
  check_error("softmax", [] { F::softmax(Tensor::zeros({2}, Dtype::i32)); });
}
