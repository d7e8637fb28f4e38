#include "fovea/kernels/arithmetic.h"

#include "fovea/core/random.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// Sizes around the vectors' widths, one that several threads share, and one that takes the grid of the
/// emulated device more than two packs a thread, of 16 bits too.
constexpr int64_t kSizes[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 997, 70001};

std::vector<OperationCase> binary_cases(const Function& function) {
  std::vector<OperationCase> cases;
  for (const int64_t size : kSizes) {
    cases.push_back({str("[", size, "]"), {{{size}}, {{size}}}, function});
  }
  cases.push_back({"a scalar", {{{}}, {{}}}, function});
  cases.push_back({"an image", {{{2, 3, 5, 7}}, {{2, 3, 5, 7}}}, function});
  return cases;
}

}  // namespace

TEST_CASE("add: properties") {
  check_operation("add", binary_cases([](const Inputs& x) { return F::add(x[0], x[1]); }));
}

TEST_CASE("sub: properties") {
  check_operation("sub", binary_cases([](const Inputs& x) { return F::sub(x[0], x[1]); }));
}

TEST_CASE("mul: properties") {
  check_operation("mul", binary_cases([](const Inputs& x) { return F::mul(x[0], x[1]); }));
}

TEST_CASE("scale: properties") {
  std::vector<OperationCase> cases;
  for (const int64_t size : kSizes) {
    cases.push_back({str("[", size, "]"), {{{size}}}, [](const Inputs& x) { return F::scale(x[0], -0.75); }});
  }
  check_operation("scale", cases);
}

TEST_CASE("arithmetic: by hand") {
  const Variable a = parameter({1, -2, 3}, {3}), b = parameter({4, 5, 0.5}, {3});
  check_near(F::add(a, b).value(), {5, 3, 3.5});
  check_near(F::sub(a, b).value(), {-3, -7, 2.5});
  check_near(F::scale(a, 2).value(), {2, -4, 6});
  const Variable y = F::mul(a, b);
  check_near(y.value(), {4, -10, 1.5});
  y.backward(Tensor::from<double>({1, 10, 100}, {3}));
  check_near(a.grad(), {4, 50, 50});
  check_near(b.grad(), {1, -20, 300});
}

TEST_CASE("arithmetic: on a device, from places where packs cannot be read, and in place") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  const Tensor numbers = normal({1001}, Random(1, Purpose::test)).to(Device::cuda());
  for (const int64_t a : {0, 1, 4}) {
    for (const int64_t b : {0, 2, 4}) {
      const Tensor left = numbers.slice(a, {997}), right = numbers.slice(b, {997});
      Tensor y = Tensor::empty({1001}, Dtype::f32, Device::cuda()).slice(b, {997}),
             wanted = Tensor::empty({997});
      kernels::sub_forward(left, right, y);
      kernels::sub_forward(left.to(Device::cpu()), right.to(Device::cpu()), wanted);
      CHECK(same_bits(y, wanted));
    }
  }
  Tensor sum = Tensor::full({70001}, 3, Dtype::bf16, Device::cuda());
  kernels::accumulate(sum, sum);
  kernels::scale_forward(sum, 0.5, sum);
  kernels::accumulate(Tensor::full({70001}, 1, Dtype::bf16, Device::cuda()), sum);
  CHECK(same_bits(sum, Tensor::full({70001}, 4, Dtype::bf16)));
}

TEST_CASE("arithmetic: shapes and dtypes that differ are errors") {
  const Variable x = Tensor::zeros({2, 3}), wide = Tensor::zeros({2, 3}, Dtype::f64);
  const Variable y = Tensor::zeros({3, 2}), integers = Tensor::zeros({2, 3}, Dtype::i32);
  check_error("add", [&] { F::add(x, y); });
  check_error("sub", [&] { F::sub(x, wide); });
  check_error("mul", [&] { F::mul(x, Tensor::zeros({2, 1})); });
  check_error("add", [&] { F::add(integers, integers); });
  check_error("scale", [&] { F::scale(integers, 2); });
  if (cuda_status().device_count == 0) return;
  Tensor on_device = Tensor::zeros({2, 3}, Dtype::f64, Device::cuda());
  check_error("add", [&] { kernels::accumulate(on_device, on_device); });
  check_error("scale", [&] { kernels::scale_forward(on_device, 2, on_device); });
}
