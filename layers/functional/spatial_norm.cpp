#include "fovea/kernels/spatial_norm.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::spatial_norm(const Variable& x) {
  check_defined("spatial_norm", "x", x);
  const Tensor& xt = x.value();
  check(xt.rank() == 4 && xt.shape(1) > 0 && xt.shape(2) > 0, "spatial_norm: x is ", xt,
        ", wanted [N, H, W, C] with at least one pixel");
  Tensor y = Tensor::empty_like(xt);
  Tensor mean = Tensor::empty({xt.shape(0), xt.shape(3)}, accumulator_of(xt.dtype()), xt.device());  // [N, C]
  Tensor rstd = Tensor::empty_like(mean);                                                            // [N, C]
  kernels::spatial_norm_forward(xt, y, mean, rstd);
  return record("spatial_norm", y, {x},
                [xt, mean, rstd](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty_like(dy);
                  kernels::spatial_norm_backward(dy, xt, mean, rstd, dx);
                  return {dx};
                },
                {xt});
}

}  // namespace fovea
