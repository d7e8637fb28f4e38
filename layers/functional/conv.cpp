#include "fovea/kernels/conv.h"

#include "fovea/kernels/window.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/conv_shape.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Shape checked_conv_shape(const char* operation, const Shape& x, Dtype dtype, const Tensor& weight,
                         int64_t stride, int64_t padding) {
  check(x.rank() == 4 && weight.rank() == 4 && x[3] == weight.shape(3) && dtype == weight.dtype(), operation,
        ": x is ", dtype, x, ", weight is ", weight, ", wanted [N, H, W, C] and [K, R, S, C] of one dtype");
  check(stride >= 1 && padding >= 0, operation, ": stride is ", stride, ", padding is ", padding,
        ", wanted at least 1 and at least 0");
  check(weight.shape(0) >= 1, operation, ": weight is ", weight, ", wanted at least one output channel");
  const int64_t R = weight.shape(1), S = weight.shape(2);
  check(x[1] + 2 * padding >= R && x[2] + 2 * padding >= S, operation, ": the window ", R, " x ", S,
        " of weight ", weight, " does not fit into x ", dtype, x, " with padding ", padding);
  return kernels::conv_shape(x, weight.shape(), stride, padding);
}

Variable F::conv(const Variable& x, const Variable& weight, const Variable& bias, int64_t stride,
                 int64_t padding) {
  check_defined("conv", "x", x, "weight", weight);
  const Tensor &xt = x.value(), &wt = weight.value();
  const Tensor bt = bias.defined() ? bias.value() : Tensor();
  const Shape shape = checked_conv_shape("conv", xt.shape(), xt.dtype(), wt, stride, padding);
  check(!bt.defined() || (bt.shape() == Shape{shape[3]} && bt.dtype() == xt.dtype()), "conv: bias is ", bt,
        ", wanted ", xt.dtype(), "[", shape[3], "]");

  Tensor y = Tensor::empty(shape, xt.dtype(), xt.device());
  kernels::conv_forward(xt, wt, bt, stride, padding, y);
  const bool needs_dx = x.requires_grad(), needs_dweight = weight.requires_grad(),
             needs_dbias = bias.requires_grad();
  std::vector<Variable> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return record({"conv", {{"stride", stride}, {"padding", padding}}}, y, std::move(inputs),
                [=](const Tensor& dy) -> std::vector<Tensor> {
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
                },
                {needs_dweight ? xt : Tensor(), needs_dx ? wt : Tensor()});
}

}  // namespace fovea
