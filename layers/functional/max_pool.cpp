#include "fovea/kernels/max_pool.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::max_pool(const Variable& x, int64_t window, int64_t stride, int64_t padding) {
  check_defined("max_pool", "x", x);
  const kernels::Window shape{window, stride, padding};
  const Tensor& xt = x.value();
  shape.check_fits("max_pool", xt.shape());
  const Shape pooled{xt.shape(0), shape.outputs(xt.shape(1)), shape.outputs(xt.shape(2)), xt.shape(3)};
  Tensor y = Tensor::empty(pooled, xt.dtype(), xt.device());      // [N, H', W', C]
  Tensor winner = Tensor::empty(pooled, Dtype::u8, xt.device());  // [N, H', W', C]
  kernels::max_pool_forward(xt, shape, y, winner);
  return record({"max_pool", {{"window", window}, {"stride", stride}, {"padding", padding}}}, y, {x},
                [winner, shape, size = xt.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty(size, dy.dtype(), dy.device());
                  kernels::max_pool_backward(dy, winner, shape, dx);
                  return {dx};
                });
}

}  // namespace fovea
