#include "fovea/kernels/softmax.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::softmax(const Variable& x) {
  check_defined("softmax", "x", x);
  check(x.shape().rank() >= 1, "softmax: x is ", x.value(), ", wanted at least one axis");
  Tensor y = Tensor::empty_like(x.value());
  kernels::softmax_forward(x.value(), y);
  return record("softmax", y, {x}, [y](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(y);
    kernels::softmax_backward(dy, y, dx);
    return {dx};
  });
}

Variable F::log_softmax(const Variable& x) {
  check_defined("log_softmax", "x", x);
  check(x.shape().rank() >= 1, "log_softmax: x is ", x.value(), ", wanted at least one axis");
  Tensor y = Tensor::empty_like(x.value());
  kernels::log_softmax_forward(x.value(), y);
  return record("log_softmax", y, {x}, [y](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(y);
    kernels::log_softmax_backward(dy, y, dx);
    return {dx};
  });
}

}  // namespace fovea
