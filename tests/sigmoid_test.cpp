#include <bit>
#include <cmath>
#include <limits>

#include "fovea/kernels/cpu/exp.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;
namespace cpu = fovea::kernels::cpu::FOVEA_CPU_VARIANT;

namespace {

/// |found - wanted| in units of the last place of the f32 next to `wanted`.
double ulps(float found, double wanted) {
  int exponent = 0;
  std::frexp(wanted, &exponent);
  return std::abs(static_cast<double>(found) - wanted) / std::max(std::ldexp(1.0, exponent - 24), 0x1p-149);
}

}  // namespace

TEST_CASE("sigmoid: properties") {
  const auto sigmoid = [](const Inputs& x) { return F::sigmoid(x[0]); };
  std::vector<OperationCase> cases;
  for (const int64_t size : {1, 7, 8, 9, 15, 16, 17, 31, 33, 997}) {
    cases.push_back({str("[", size, "]"), {{{size}}}, sigmoid});
  }
  cases.push_back({"an image", {{{2, 3, 5, 7}}}, sigmoid});
  check_operation("sigmoid", cases);
}

TEST_CASE("sigmoid: by hand") {
  const Variable x = parameter({0, std::log(3.0)}, {2});
  const Variable y = F::sigmoid(x);
  check_near(y.value(), {0.5, 0.75});
  y.backward(Tensor::from<double>({1, 16}, {2}));
  check_near(x.grad(), {0.25, 3});
}

TEST_CASE("sigmoid: large numbers saturate") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
    const Variable x(cast(Tensor::from<double>({-60000, -1000, 1000, 60000}, {4}), dtype), true);
    const Variable y = F::sigmoid(x);
    check_near(y.value(), {0, 0, 1, 1}, 0);
    y.backward(Tensor::full({4}, 1, dtype));
    check_near(x.grad(), {0, 0, 0, 0}, 0);
  }
}

TEST_CASE("sigmoid: on a device the same over its whole range") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  std::vector<float> numbers;
  for (float x = -100; x <= 100; x += 0.37f) numbers.push_back(x);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {0.0f, -0.0f, infinity, -infinity, 3e38f, -3e38f, 1e-38f}) numbers.push_back(x);
  const Tensor x = Tensor::from(numbers, {static_cast<int64_t>(numbers.size())});
  const std::vector<double> found = F::sigmoid(x.to(Device::cuda())).value().to_doubles();
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double wanted = 1 / (1 + std::exp(-static_cast<double>(numbers[i])));
    INFO("sigmoid(" << numbers[i] << ") is " << found[i] << ", wanted " << wanted);
    CHECK(std::abs(found[i] - wanted) <= 1e-6 * wanted + 1e-37);  // below, results may be 0
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(F::sigmoid(Tensor::full({1}, nan).to(Device::cuda())).value().item()));
}

TEST_CASE("sigmoid: integers are an error") {
  check_error("sigmoid", [] { F::sigmoid(Tensor::zeros({2}, Dtype::i32)); });
}

TEST_CASE("exp and sigmoid in f32 are accurate over their whole range") {
  double worst_exp = 0, worst_sigmoid = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 4999) {  // a prime: samples every sign and exponent
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (!(x > -87.3f && x < 88.7f)) continue;  // where the results are normal numbers
    const double wide = static_cast<double>(x);
    worst_exp = std::max(worst_exp, ulps(cpu::exp(x), std::exp(wide)));
    worst_sigmoid = std::max(worst_sigmoid, ulps(cpu::sigmoid(x), 1 / (1 + std::exp(-wide))));
  }
  CHECK(worst_exp <= 1.1);
  CHECK(worst_sigmoid <= 2.5);
}

TEST_CASE("exp and sigmoid in f32 at the ends of their range") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(cpu::exp(0.0f) == 1.0f);
  CHECK(cpu::exp(88.8f) == infinity);
  CHECK(cpu::exp(infinity) == infinity);
  CHECK(cpu::exp(-infinity) == 0.0f);
  CHECK(cpu::exp(-104.0f) == 0.0f);
  CHECK(ulps(cpu::exp(-95.0f), std::exp(-95.0)) <= 2);  // subnormal
  CHECK(std::isnan(cpu::exp(nan)));
  CHECK(cpu::sigmoid(infinity) == 1.0f);
  CHECK(cpu::sigmoid(-infinity) == 0.0f);
  CHECK(cpu::sigmoid(-200.0f) == 0.0f);
  CHECK(std::isnan(cpu::sigmoid(nan)));
}
