#include "fovea/kernels/relu.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::relu(const Variable& x) {
  check_defined("relu", "x", x);
  Tensor y = Tensor::empty_like(x.value());
  kernels::relu_forward(x.value(), y);
  return record("relu", y, {x}, [y](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(y);
    kernels::relu_backward(dy, y, dx);
    return {dx};
  });
}

}  // namespace fovea
