#include "fovea/kernels/cast.h"

#include <utility>

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("cast: properties") {
  // Into f32, but for f64, where a rounded function has no differences.
  const auto widen = [](const Inputs& x) { return F::cast(x[0], accumulator_of(x[0].dtype())); };
  std::vector<OperationCase> cases;
  for (const int64_t size : {1, 7, 8, 9, 15, 16, 17, 31, 33, 997}) {
    cases.push_back({str("[", size, "]"), {{{size}}}, widen});
  }
  check_operation("cast", cases);
}

TEST_CASE("cast: there and back between all floating dtypes") {
  const std::vector<double> numbers = {0, -0.5, 1, 1.5, -2, 96, 0.0078125};  // exact in each of them
  const Tensor x = Tensor::from(numbers, {7});
  for (const Dtype from : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
    for (const Dtype to : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
      const Variable leaf(test::cast(x, from), true);
      const Variable y = F::cast(leaf, to);
      CHECK(y.dtype() == to);
      check_near(y.value(), numbers, 0);
      y.backward(test::cast(x, to));
      CHECK(leaf.grad().dtype() == from);
      check_near(leaf.grad(), numbers, 0);
    }
  }
}

TEST_CASE("cast: the kernel converts between any two dtypes") {
  const std::vector<double> numbers = {0, 1, 2, 77, 128, 255};
  const Dtype all[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::u8, Dtype::i32, Dtype::i64};
  for (const Dtype from : all) {
    for (const Dtype to : all) {
      INFO(from << " to " << to);
      check_near(test::cast(test::cast(Tensor::from(numbers, {6}), from), to), numbers, 0);
    }
  }
  const Tensor x = Tensor::from<float>({1.75f, -1.75f}, {2});
  check_near(test::cast(x, Dtype::i32), {1, -1}, 0);  // towards zero
}

TEST_CASE("cast: the kernel of a device gives what that of the CPU does") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  // Integers that an f32 cannot hold, fractions of both signs, and enough for the grid of the emulated
  // device, two packs a thread of up to 16 elements. Negative numbers into u8 have no result.
  std::vector<int64_t> integers = {(int64_t{1} << 24) + 1, 1, 0, 77};
  std::vector<float> fractions = {0, 0.999f, 200.5f, 77.25f, 1e-7f};
  for (int64_t i = 0; i < 140003; ++i) {
    integers.push_back(i % 256);
    fractions.push_back(static_cast<float>(i % 2550) * 0.1f);
  }
  const Tensor whole = Tensor::from(integers, {static_cast<int64_t>(integers.size())});
  const Tensor broken = Tensor::from(fractions, {static_cast<int64_t>(fractions.size())});
  const Dtype all[] = {Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::u8, Dtype::i32, Dtype::i64};
  for (const Dtype from : all) {
    const Tensor x = test::cast(is_floating(from) ? broken : whole, from);
    const Tensor on_device = x.to(Device::cuda());
    for (const Dtype to : all) {
      INFO(from << " to " << to);
      Tensor y = Tensor::empty(x.shape(), to), device_y = Tensor::empty(x.shape(), to, Device::cuda());
      kernels::cast_forward(x, y);
      kernels::cast_forward(on_device, device_y);
      CHECK(same_bits(device_y, y));
      // From places where packs cannot be read, and from the 16th byte on.
      const auto sixteenth = [](Dtype dtype) { return 16 / static_cast<int64_t>(size_of(dtype)); };
      for (const auto& [a, b] : {std::pair<int64_t, int64_t>(2, 1), {sixteenth(from), sixteenth(to)}}) {
        Tensor part = Tensor::empty({1017}, to, Device::cuda()).slice(b, {1001});
        kernels::cast_forward(on_device.slice(a, {1001}), part);
        CHECK(same_bits(part, y.slice(a, {1001})));
      }
    }
  }
  Tensor negative = Tensor::empty({3}, Dtype::i32, Device::cuda());
  kernels::cast_forward(Tensor::from<float>({-1.75f, -0.5f, -70000.5f}, {3}).to(Device::cuda()), negative);
  check_near(negative, {-1, 0, -70000}, 0);

  Tensor y = Tensor::empty({3}, Dtype::f32, Device::cuda());
  check_error("cast", [&] { kernels::cast_forward(Tensor::zeros({3}, Dtype::f64, Device::cuda()), y); });
  Tensor wide = Tensor::empty({3}, Dtype::f64, Device::cuda());
  check_error("cast", [&] { kernels::cast_forward(y, wide); });
}

TEST_CASE("cast: to an integer is an error") {
  check_error("cast", [] { F::cast(Tensor::zeros({2}), Dtype::i32); });
}
