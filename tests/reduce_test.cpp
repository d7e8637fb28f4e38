#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

using Reduction = Variable (*)(const Variable&);
using AxisReduction = Variable (*)(const Variable&, int);

std::vector<OperationCase> reduction_cases(Reduction all, AxisReduction along) {
  std::vector<OperationCase> cases;
  const auto whole = [all](const Inputs& x) { return all(x[0]); };
  for (const int64_t size : {1, 2, 7, 15, 16, 17, 31, 33, 997, 4097, 20000, 32776}) {
    cases.push_back({str("all of [", size, "]"), {{{size}}}, whole, size});
  }
  cases.push_back({"a scalar", {{{}}}, whole});
  const Shape shapes[] = {{1, 1, 1},    {2, 3, 5},   {7, 1, 9},   {3, 17, 16},  {2, 601, 8},
                          {1, 33, 513}, {300, 2, 3}, {1, 2, 640}, {3, 40, 136}, {2, 260, 130}};
  for (const Shape& shape : shapes) {
    for (const int axis : {0, 1, 2, -1}) {
      const auto one = [along, axis](const Inputs& x) { return along(x[0], axis); };
      cases.push_back({str("axis ", axis, " of ", shape), {{shape}}, one, shape[axis]});
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("sum: properties") {
  check_operation("sum", reduction_cases(F::sum, F::sum));
}

TEST_CASE("mean: properties") {
  check_operation("mean", reduction_cases(F::mean, F::mean));
}

TEST_CASE("sum and mean: by hand") {
  const Variable x = parameter({1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(F::sum(x).shape() == Shape{});
  CHECK(F::sum(x).value().item() == 21);
  CHECK(F::mean(x).value().item() == 3.5);
  check_near(F::sum(x, 0).value(), {5, 7, 9});
  check_near(F::mean(x, 1).value(), {2, 5});
  F::mean(x, -1).backward(Tensor::from<double>({3, 30}, {2}));
  check_near(x.grad(), {1, 1, 1, 10, 10, 10});
}

TEST_CASE("sum: a long sum in f32 keeps its accuracy") {
  const int64_t count = 1 << 24;  // one by one, 0.1f would add up to 2097152 and stay there
  const double wanted = static_cast<double>(0.1f) * count;
  const Tensor x = Tensor::full({count}, 0.1);
  CHECK(F::sum(x).value().item() == Approx(wanted).epsilon(1e-5));
  if (cuda_status().device_count > 0) {
    CHECK(F::sum(x.to(Device::cuda())).value().item() == Approx(wanted).epsilon(1e-5));
  }
}

TEST_CASE("sum and mean: axes that do not exist, and means of nothing, are errors") {
  const Variable x(Tensor::zeros({2, 3})), nothing(Tensor::zeros({0, 3}));
  check_error("sum", [&] { F::sum(x, 2); });
  check_error("mean", [&] { F::mean(x, -3); });
  check_error("mean", [&] { F::mean(nothing); });
  check_error("mean", [&] { F::mean(nothing, 0); });
  check_near(F::sum(nothing, 0).value(), {0, 0, 0}, 0);
  CHECK(F::sum(nothing).value().item() == 0);
}
