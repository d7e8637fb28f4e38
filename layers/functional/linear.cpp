#include "fovea/kernels/matmul.h"
#include "fovea/kernels/reduce.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::linear(const Variable& x, const Variable& weight, const Variable& bias) {
  check_defined("linear", "x", x, "weight", weight);
  const bool fits = x.shape().rank() == 2 && weight.shape().rank() == 2 && x.shape(1) == weight.shape(1) &&
                    x.dtype() == weight.dtype() && is_floating(x.dtype());
  check(fits, "linear: x is ", x.value(), ", weight is ", weight.value(),
        "; wanted [N, C] and [K, C] of one floating dtype");
  const int64_t N = x.shape(0), C = x.shape(1), K = weight.shape(0);
  const bool has_bias = bias.defined();
  check(!has_bias || (bias.shape() == Shape{K} && bias.dtype() == x.dtype()), "linear: bias is ",
        has_bias ? bias.value() : Tensor(), ", wanted ", x.dtype(), "[", K, "]");
  Tensor y = Tensor::empty({N, K}, x.dtype(), x.value().device());
  kernels::matmul_forward(x.value(), /*transpose_a=*/false, weight.value(), /*transpose_b=*/true,
                          has_bias ? bias.value() : Tensor(), y);

  const Tensor xt = weight.requires_grad() ? x.value() : Tensor();
  const Tensor saved_weight = x.requires_grad() ? weight.value() : Tensor();
  std::vector<Variable> inputs = {x, weight};
  if (has_bias) inputs.push_back(bias);
  return record("linear", y, inputs,
                [=, needs_dbias = bias.requires_grad()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx, dweight, dbias;
                  if (saved_weight.defined()) {
                    dx = Tensor::empty({N, C}, dy.dtype(), dy.device());
                    kernels::matmul_forward(dy, /*transpose_a=*/false, saved_weight, /*transpose_b=*/false,
                                            /*bias=*/{}, dx);
                  }
                  if (xt.defined()) {
                    dweight = weight.new_gradient();
                    kernels::matmul_forward(dy, /*transpose_a=*/true, xt, /*transpose_b=*/false, /*bias=*/{},
                                            dweight);
                  }
                  if (!has_bias) return {dx, dweight};
                  if (needs_dbias) {
                    dbias = bias.new_gradient();
                    Tensor row = dbias.reshape({1, K});
                    kernels::reduce_forward(dy.reshape({1, N, K}), /*factor=*/1.0, row);
                  }
                  return {dx, dweight, dbias};
                },
                {xt, saved_weight});
}

}  // namespace fovea
