#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// y = op(a) * op(b) + bias, op(a): [M, K], op(b): [K, N], y: [M, N], where op transposes if its flag is set;
/// bias: [N], the same for every row, or undefined for none.
FOVEA_MULTIPLYING_KERNEL(matmul_forward, const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                         const Tensor& bias, Tensor& y);

}  // namespace fovea::kernels
#pragma GCC visibility pop
