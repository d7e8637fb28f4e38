#include "fovea/kernels/sigmoid.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::sigmoid(const Variable& x) {
  check_defined("sigmoid", "x", x);
  Tensor y = Tensor::empty_like(x.value());
  kernels::sigmoid_forward(x.value(), y);
  return record("sigmoid", y, {x}, [y](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(y);
    kernels::sigmoid_backward(dy, y, dx);
    return {dx};
  });
}

}  // namespace fovea
