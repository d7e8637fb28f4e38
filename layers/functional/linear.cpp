#include <algorithm>

#include "fovea/core/ranks.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/cast.h"
#include "fovea/kernels/matmul.h"
#include "fovea/kernels/reduce.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

/// Calls body(first, count) for the rows of each group of a batch on the CPU (see core/ranks.h), for all of
/// them at once on a device.
template <class Body>
void for_each_group(int64_t N, Device device, Body body) {
  const int64_t groups = device.is_cuda() ? 1 : std::min(batch_groups(), N);
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t first = N * group / groups;
    body(first, N * (group + 1) / groups - first);
  }
}

/// y = a b, or a times the transpose of b, plus bias.  a: [N, C], y: [N, K]. Group by group: Eigen rounds the
/// product of a row in another way where there are more rows, and a rank has fewer than a process alone.
void multiply_rows(const Tensor& a, const Tensor& b, bool transpose_b, const Tensor& bias, Tensor& y) {
  const int64_t C = a.shape(1), K = y.shape(1);
  for_each_group(a.shape(0), a.device(), [&](int64_t first, int64_t count) {
    Tensor part = y.slice(first * K, {count, K});
    kernels::matmul_forward(a.slice(first * C, {count, C}), /*transpose_a=*/false, b, transpose_b, bias,
                            part);
  });
}

/// total = the sum over N rows, where sum_rows(first, count, part) sums up those of a group.
template <class SumRows>
void sum_over_groups(int64_t N, Tensor& total, SumRows sum_rows) {
  std::vector<Tensor> parts;
  for_each_group(N, total.device(), [&](int64_t first, int64_t count) {
    if (total.device().is_cuda()) return sum_rows(first, count, total);
    parts.push_back(Tensor::empty(total.shape(), accumulator_of(total.dtype())));
    sum_rows(first, count, parts.back());
  });
  if (N == 0) total.fill_with_zeros();
  if (parts.empty()) return;
  add_by_pairs(std::ssize(parts), [&](int64_t to, int64_t from) {
    kernels::accumulate(parts[static_cast<size_t>(from)], parts[static_cast<size_t>(to)]);
  });
  kernels::cast_forward(parts[0], total);
}

}  // namespace

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
  multiply_rows(x.value(), weight.value(), /*transpose_b=*/true, has_bias ? bias.value() : Tensor(), y);

  const Tensor xt = weight.requires_grad() ? x.value() : Tensor();
  const Tensor saved_weight = x.requires_grad() ? weight.value() : Tensor();
  std::vector<Variable> inputs = {x, weight};
  if (has_bias) inputs.push_back(bias);
  return record("linear", y, inputs,
                [=, needs_dbias = bias.requires_grad()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx, dweight, dbias;
                  if (saved_weight.defined()) {
                    dx = Tensor::empty({N, C}, dy.dtype(), dy.device());
                    multiply_rows(dy, saved_weight, /*transpose_b=*/false, /*bias=*/{}, dx);
                  }
                  if (xt.defined()) {
                    dweight = weight.new_gradient();
                    sum_over_groups(N, dweight, [&](int64_t first, int64_t count, Tensor& part) {
                      kernels::matmul_forward(dy.slice(first * K, {count, K}), /*transpose_a=*/true,
                                              xt.slice(first * C, {count, C}), /*transpose_b=*/false,
                                              /*bias=*/{}, part);
                    });
                  }
                  if (!has_bias) return {dx, dweight};
                  if (needs_dbias) {
                    dbias = bias.new_gradient();
                    Tensor row = dbias.reshape({1, K});
                    sum_over_groups(N, row, [&](int64_t first, int64_t count, Tensor& part) {
                      Tensor rows = dy.slice(first * K, {1, count, K});
                      if (part.dtype() != dy.dtype()) {
                        Tensor wide = Tensor::empty(rows.shape(), part.dtype());
                        kernels::cast_forward(rows, wide);
                        rows = wide;
                      }
                      kernels::reduce_forward(rows, /*factor=*/1.0, part);
                    });
                  }
                  return {dx, dweight, dbias};
                },
                {xt, saved_weight});
}

}  // namespace fovea
