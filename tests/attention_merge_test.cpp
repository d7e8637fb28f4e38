#include "fovea/kernels/attention_merge.h"

#include <cmath>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

std::vector<OperationCase> cases_of(const Function& function) {
  std::vector<OperationCase> cases;
  // The last takes the grid of the emulated device more than two packs a thread, of 16 bits too.
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{1, 1, 1, 7}, Shape{2, 1, 1, 8}, Shape{1, 3, 1, 5}, Shape{1, 1, 2, 16},
        Shape{1, 1, 1, 17}, Shape{2, 7, 5, 33}, Shape{3, 31, 29, 27}}) {
    cases.push_back({shape.str(),
                     {{shape}, {shape}},
                     function,
                     /*terms=*/16});  // 1 - sigmoid(m) loses digits where m is large
  }
  return cases;
}

Variable residual(const Inputs& x) {
  return F::attention_merge(x[0], x[1]);
}
Variable naive(const Inputs& x) {
  return F::attention_merge_naive(x[0], x[1]);
}

}  // namespace

TEST_CASE("attention_merge: properties, and (1 + sigmoid(m)) * t") {
  check_operation("attention_merge", cases_of(residual));
  for (const OperationCase& one : cases_of(residual)) {
    check_same_function(one, [](const Inputs& x) { return F::add(F::mul(F::sigmoid(x[0]), x[1]), x[1]); });
  }
}

TEST_CASE("attention_merge_naive: properties, and sigmoid(m) * t") {
  check_operation("attention_merge_naive", cases_of(naive));
  for (const OperationCase& one : cases_of(naive)) {
    check_same_function(one, [](const Inputs& x) { return F::mul(F::sigmoid(x[0]), x[1]); });
  }
}

TEST_CASE("attention_merge: by hand") {
  const Variable m = parameter({0, std::log(3.0)}, {1, 1, 1, 2});  // sigmoid: 1/2, 3/4
  const Variable t = parameter({4, -8}, {1, 1, 1, 2});
  const Variable y = F::attention_merge(m, t);
  check_near(y.value(), {6, -14});
  y.backward(Tensor::from<double>({1, 10}, {1, 1, 1, 2}));
  check_near(m.grad(), {1, -15});
  check_near(t.grad(), {1.5, 17.5});
}

TEST_CASE("attention_merge_naive: by hand") {
  const Variable m = parameter({0, std::log(3.0)}, {1, 1, 1, 2});
  const Variable t = parameter({4, -8}, {1, 1, 1, 2});
  const Variable y = F::attention_merge_naive(m, t);
  check_near(y.value(), {2, -6});
  y.backward(Tensor::from<double>({1, 10}, {1, 1, 1, 2}));
  check_near(m.grad(), {1, -15});
  check_near(t.grad(), {0.5, 7.5});
}

TEST_CASE("attention_merge: masks far out stay finite") {
  std::vector<Device> devices = {Device::cpu()};
  if (cuda_status().device_count > 0) devices.push_back(Device::cuda());
  for (const Device& device : devices) {
    INFO("on " << device);
    const Tensor m = Tensor::from<float>({-1000, -90, 90, 1000}, {1, 1, 1, 4}).to(device);
    const Tensor t = Tensor::full({1, 1, 1, 4}, 2, Dtype::f32, device);
    check_near(F::attention_merge(m, t).value(), {2, 2, 4, 4}, 1e-7);
    check_near(F::attention_merge_naive(m, t).value(), {0, 0, 2, 2}, 1e-7);
    Tensor dm = Tensor::empty_like(m), dt = Tensor::empty_like(m);
    kernels::attention_merge_backward(t, m, t, dm, dt);
    check_near(dm, {0, 0, 0, 0}, 1e-7);
    check_near(dt, {2, 2, 4, 4}, 1e-7);
  }
}

TEST_CASE("attention_merge: errors") {
  const Variable m = Tensor::zeros({1, 2, 2, 3});
  for (const Tensor& t : {Tensor::zeros({1, 2, 2, 4}), Tensor::zeros({1, 2, 2, 3}, Dtype::f64)}) {
    check_error("attention_merge", [&] { F::attention_merge(m, t); });
    check_error("attention_merge_naive", [&] { F::attention_merge_naive(m, t); });
  }
  const Tensor bytes = Tensor::zeros({1, 2, 2, 3}, Dtype::u8);
  check_error("attention_merge", [&] { F::attention_merge(bytes, bytes); });
  check_error("attention_merge_naive", [&] { F::attention_merge_naive(bytes, bytes); });
}
