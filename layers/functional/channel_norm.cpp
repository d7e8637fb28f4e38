#include "fovea/kernels/channel_norm.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::channel_norm(const Variable& x) {
  check_defined("channel_norm", "x", x);
  const Tensor& xt = x.value();
  check(xt.rank() == 4, "channel_norm: x is ", xt, ", wanted [N, H, W, C]");
  Tensor y = Tensor::empty_like(xt);
  kernels::channel_norm_forward(xt, y);
  return record("channel_norm", y, {x},
                [xt](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty_like(dy);
                  kernels::channel_norm_backward(dy, xt, dx);
                  return {dx};
                },
                {xt});
}

}  // namespace fovea
