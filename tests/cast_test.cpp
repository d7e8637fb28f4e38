#include "fovea/kernels/cast.h"

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

TEST_CASE("cast: to an integer is an error") {
  check_error("cast", [] { F::cast(Tensor::zeros({2}), Dtype::i32); });
}
