#include "fovea/kernels/global_average.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::global_average(const Variable& x) {
  check_defined("global_average", "x", x);
  const Tensor& xt = x.value();
  check(xt.rank() == 4 && xt.shape(1) > 0 && xt.shape(2) > 0, "global_average: x is ", xt,
        ", wanted [N, H, W, C] with at least one pixel");
  Tensor y = Tensor::empty({xt.shape(0), xt.shape(3)}, xt.dtype(), xt.device());  // [N, C]
  kernels::global_average_forward(xt, y);
  return record("global_average", y, {x}, [size = xt.shape()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty(size, dy.dtype(), dy.device());
    kernels::global_average_backward(dy, dx);
    return {dx};
  });
}

}  // namespace fovea
