#pragma once

#include "fovea/kernels/kernel.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Into how many chunks, by its size alone, an arena is cut for square_sums.
inline constexpr int64_t kSquareSums = 256;

/// sums[i] += the sum of the squares of chunk i of x: begin with zeros.  x: f32, bf16, f16 or f64, sums:
/// [kSquareSums], f32 (f64 for f64)
FOVEA_KERNEL(square_sums, const Tensor& x, Tensor& sums);

/// scale = gradient_scale * min(1, most / (gradient_scale * sqrt(sum of sums) + 1e-6)), as PyTorch's
/// clip_grad_norm_: gradients times scale have at most this norm, all together. sums: [kSquareSums];
/// gradient_scale: [] or undefined for 1; scale: []; one dtype
FOVEA_KERNEL(clip_scale, const Tensor& sums, const Tensor& gradient_scale, double most, Tensor& scale);

}  // namespace fovea::kernels
#pragma GCC visibility pop
