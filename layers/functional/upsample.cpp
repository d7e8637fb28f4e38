#include "fovea/kernels/upsample.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

void check_image(const char* operation, const Tensor& x) {
  check(x.rank() == 4 && x.shape(1) > 0 && x.shape(2) > 0, operation, ": x is ", x,
        ", wanted [N, H, W, C] with at least one pixel");
}

Tensor upsample_backward(const Tensor& dy, const Shape& size) {
  Tensor dx = Tensor::empty(size, dy.dtype(), dy.device());
  kernels::upsample_backward(dy, dx);
  return dx;
}

}  // namespace

Variable F::upsample(const Variable& x, int64_t out_h, int64_t out_w) {
  check_defined("upsample", "x", x);
  const Tensor& xt = x.value();
  check_image("upsample", xt);
  check(out_h >= 1 && out_w >= 1, "upsample: the output is ", out_h, " x ", out_w, ", wanted at least 1 x 1");
  Tensor y = Tensor::empty({xt.shape(0), out_h, out_w, xt.shape(3)}, xt.dtype(), xt.device());
  kernels::upsample_forward(xt, y);
  return record("upsample", y, {x}, [size = xt.shape()](const Tensor& dy) -> std::vector<Tensor> {
    return {upsample_backward(dy, size)};
  });
}

Variable F::upsample_add(const Variable& x, const Variable& skip) {
  check_defined("upsample_add", "x", x, "skip", skip);
  const Tensor &xt = x.value(), &st = skip.value();
  check_image("upsample_add", xt);
  check_image("upsample_add", st);
  check(st.dtype() == xt.dtype() && st.shape(0) == xt.shape(0) && st.shape(3) == xt.shape(3),
        "upsample_add: x is ", xt, ", skip is ", st, "; wanted one dtype, N and C");
  Tensor y = Tensor::empty_like(st);  // [N, H, W, C]
  kernels::upsample_add_forward(xt, st, y);
  const bool needs_dx = x.requires_grad();
  return record("upsample_add", y, {x, skip},
                [needs_dx, size = xt.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  return {needs_dx ? upsample_backward(dy, size) : Tensor(), dy};
                });
}

}  // namespace fovea
