#include "fovea/kernels/conv.h"

#include "fovea/kernels/window.h"
#include "fovea/layers/functional.h"

namespace fovea {

Variable F::conv(const Variable& x, const Variable& weight, const Variable& bias, int64_t stride,
                 int64_t padding) {
  const Tensor xt = x.value(), wt = weight.value(), bt = bias.defined() ? bias.value() : Tensor();
  check(xt.rank() == 4 && wt.rank() == 4 && xt.shape(3) == wt.shape(3) && xt.dtype() == wt.dtype(),
        "conv: x is ", xt, ", weight is ", wt, ", wanted [N, H, W, C] and [K, R, S, C] of one dtype");
  check(stride >= 1 && padding >= 0, "conv: stride is ", stride, ", padding is ", padding,
        ", wanted at least 1 and at least 0");
  const int64_t N = xt.shape(0), K = wt.shape(0), R = wt.shape(1), S = wt.shape(2);
  check(!bt.defined() || (bt.shape() == Shape{K} && bt.dtype() == xt.dtype()), "conv: bias is ", bt,
        ", wanted ", xt.dtype(), "[", K, "]");
  check(xt.shape(1) + 2 * padding >= R && xt.shape(2) + 2 * padding >= S, "conv: the window ", R, " x ", S,
        " of weight ", wt, " does not fit into x ", xt, " with padding ", padding);
  const int64_t P = kernels::Window{R, stride, padding}.outputs(xt.shape(1));
  const int64_t Q = kernels::Window{S, stride, padding}.outputs(xt.shape(2));

  Tensor y = Tensor::empty({N, P, Q, K}, xt.dtype(), xt.device());
  kernels::conv_forward(xt, wt, bt, stride, padding, y);
  const bool needs_dx = x.requires_grad(), needs_dweight = weight.requires_grad(),
             needs_dbias = bias.requires_grad();
  std::vector<Variable> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return record("conv", y, std::move(inputs), [=](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx, dweight, dbias;
    if (needs_dx) {
      dx = Tensor::empty_like(xt);
      kernels::conv_backward_input(dy, wt, stride, padding, dx);
    }
    if (needs_dweight) {
      dweight = weight.new_gradient();
      kernels::conv_backward_weight(xt, dy, stride, padding, dweight);
    }
    if (!bt.defined()) return {dx, dweight};
    if (needs_dbias) {
      dbias = bias.new_gradient();
      kernels::conv_backward_bias(dy, dbias);
    }
    return {dx, dweight, dbias};
  });
}

}  // namespace fovea
