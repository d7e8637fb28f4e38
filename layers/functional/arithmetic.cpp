#include "fovea/kernels/arithmetic.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

void check_alike(const char* operation, const Variable& a, const Variable& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), operation, ": a is ", a.value(), ", b is ",
        b.value(), "; wanted one shape and dtype");
}

}  // namespace

Variable F::add(const Variable& a, const Variable& b) {
  check_defined("add", "a", a, "b", b);
  check_alike("add", a, b);
  Tensor y = Tensor::empty_like(a.value());
  kernels::add_forward(a.value(), b.value(), y);
  return record("add", y, {a, b}, [](const Tensor& dy) -> std::vector<Tensor> { return {dy, dy}; });
}

Variable F::sub(const Variable& a, const Variable& b) {
  check_defined("sub", "a", a, "b", b);
  check_alike("sub", a, b);
  Tensor y = Tensor::empty_like(a.value());
  kernels::sub_forward(a.value(), b.value(), y);
  return record("sub", y, {a, b}, [needs_db = b.requires_grad()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor db;
    if (needs_db) {
      db = Tensor::empty_like(dy);
      kernels::scale_forward(dy, -1.0, db);
    }
    return {dy, db};
  });
}

Variable F::mul(const Variable& a, const Variable& b) {
  check_defined("mul", "a", a, "b", b);
  check_alike("mul", a, b);
  Tensor y = Tensor::empty_like(a.value());
  kernels::mul_forward(a.value(), b.value(), y);
  // Each side's gradient needs the other side.
  const Tensor at = b.requires_grad() ? a.value() : Tensor();
  const Tensor bt = a.requires_grad() ? b.value() : Tensor();
  return record("mul", y, {a, b},
                [at, bt](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor da, db;
                  if (bt.defined()) {
                    da = Tensor::empty_like(dy);
                    kernels::mul_forward(dy, bt, da);
                  }
                  if (at.defined()) {
                    db = Tensor::empty_like(dy);
                    kernels::mul_forward(dy, at, db);
                  }
                  return {da, db};
                },
                {at, bt});
}

Variable F::scale(const Variable& x, double factor) {
  check_defined("scale", "x", x);
  Tensor y = Tensor::empty_like(x.value());
  kernels::scale_forward(x.value(), factor, y);
  return record({"scale", {{"factor", factor}}}, y, {x}, [factor](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(dy);
    kernels::scale_forward(dy, factor, dx);
    return {dx};
  });
}

}  // namespace fovea
