#include <bit>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/cast.h"
#include "op_test.h"

// The property harness must find what it looks for: an operation without a defect passes, and the same one
// with one defect at a time fails. Catch2 counts a case tagged [!shouldfail] as passed where a check in it
// has failed.

using namespace fovea;
using namespace fovea::test;

namespace {

/// What may be wrong with `product`, a * b.
struct Defects {
  double gradient_error = 0;                        // relative
  std::function<void(Tensor& y)> after_forward;     // may spoil the output
  std::function<void(const Tensor& a)> with_input;  // may change an input
  std::function<void(const Tensor& dy)> with_dy;    // may change dy
  bool wants_both = false;                          // no gradient where only one input requires one
  bool forgets_saved = false;                       // does not say which values its gradients need
  const char* name = "product";
};

Tensor times(const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::empty_like(a);
  kernels::mul_forward(a, b, y);
  return y;
}

Variable product(const Variable& a, const Variable& b, const Defects& defects) {
  Tensor y = times(a.value(), b.value());
  if (defects.after_forward) defects.after_forward(y);
  if (defects.with_input) defects.with_input(a.value());
  const bool both = a.requires_grad() && b.requires_grad();
  return record(
      defects.name, y, {a, b},
      [at = a.value(), bt = b.value(), defects, both](const Tensor& dy) -> std::vector<Tensor> {
        if (defects.wants_both && !both) return {Tensor(), Tensor()};
        Tensor da = times(dy, bt), db = times(dy, at);
        if (defects.gradient_error != 0) kernels::scale_forward(da, 1 + defects.gradient_error, da);
        if (defects.with_dy) defects.with_dy(dy);
        return {da, db};
      },
      defects.forgets_saved ? std::vector<Tensor>() : std::vector<Tensor>{a.value(), b.value()});
}

void check_product(const Defects& defects) {
  const auto function = [&](const Inputs& x) { return product(x[0], x[1], defects); };
  check_operation("product", {{"[5, 7]", {{{5, 7}}, {{5, 7}}}, function}});
}

/// Adds 1 to the last bits of an f32 number.
void change_last_bit(Tensor& y, int64_t element) {
  float& number = y.data<float>()[element];
  number = std::bit_cast<float>(std::bit_cast<uint32_t>(number) + 1);
}

}  // namespace

TEST_CASE("harness: an operation without defect passes") {
  check_product({});
}

TEST_CASE("harness: finds a gradient that is wrong by 1e-6", "[!shouldfail]") {
  Defects defects;
  defects.gradient_error = 1e-6;
  check_product(defects);
}

TEST_CASE("harness: finds a value whose change before the backward pass is not noticed", "[!shouldfail]") {
  Defects defects;
  defects.forgets_saved = true;
  check_product(defects);
}

TEST_CASE("harness: finds an f32 output that is wrong by 1e-5", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) {
    if (y.dtype() == Dtype::f32) kernels::scale_forward(y, 1.00001, y);
  };
  check_product(defects);
}

TEST_CASE("harness: finds a bf16 output that is wrong by twelve units", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) {
    if (y.dtype() == Dtype::bf16)
      y.data<bf16>()[34].bits = static_cast<uint16_t>(y.data<bf16>()[34].bits + 12);
  };
  check_product(defects);
}

TEST_CASE("harness: finds an output that is not written", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) {
    if (y.dtype() != Dtype::f16) return;
    Tensor fresh = Tensor::empty_like(y);
    for (int64_t i = 0; i + 1 < y.size(); ++i) fresh.data<f16>()[i] = y.data<f16>()[i];
    y.copy_from(fresh);
  };
  check_product(defects);
}

TEST_CASE("harness: finds a write behind the output", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) { static_cast<std::byte*>(y.raw())[y.bytes()] = std::byte{0}; };
  check_product(defects);
}

TEST_CASE("harness: finds bits that depend on the number of threads", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) {
    if (y.dtype() == Dtype::f32 && num_threads() == 3) change_last_bit(y, 34);
  };
  check_product(defects);
}

TEST_CASE("harness: finds bits that differ on a second run", "[!shouldfail]") {
  Defects defects;
  int64_t runs = 0;
  defects.after_forward = [&runs](Tensor& y) {
    if (y.dtype() == Dtype::f32 && ++runs % 4 == 0) change_last_bit(y, 34);
  };
  check_product(defects);
}

TEST_CASE("harness: finds an output that is another without history", "[!shouldfail]") {
  Defects defects;
  defects.after_forward = [](Tensor& y) {
    if (y.dtype() == Dtype::f32 && !grad_enabled()) change_last_bit(y, 0);
  };
  check_product(defects);
}

TEST_CASE("harness: finds an input that is changed", "[!shouldfail]") {
  Defects defects;
  defects.with_input = [](Tensor a) { kernels::scale_forward(a, -1, a); };
  check_product(defects);
}

TEST_CASE("harness: finds a dy that is changed", "[!shouldfail]") {
  Defects defects;
  defects.with_dy = [](Tensor dy) { kernels::scale_forward(dy, -1, dy); };
  check_product(defects);
}

TEST_CASE("harness: finds a gradient that is missing where one input alone requires it", "[!shouldfail]") {
  Defects defects;
  defects.wants_both = true;
  check_product(defects);
}

TEST_CASE("harness: finds that another name is recorded", "[!shouldfail]") {
  Defects defects;
  defects.name = "mul";
  check_product(defects);
}

TEST_CASE("harness: check_error wants an error that begins with the name", "[!shouldfail]") {
  check_error("product", [] { throw Error("the product: shapes differ"); });
}

TEST_CASE("harness: check_error wants an error at all", "[!shouldfail]") {
  check_error("product", [] {});
}

TEST_CASE("harness: check_near finds a number that is not one", "[!shouldfail]") {
  check_near(Tensor::full({3}, std::numeric_limits<double>::quiet_NaN()), {1, 1, 1}, 0.5);
}
