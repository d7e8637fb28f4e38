#pragma once

#include "fovea/kernels/kernel.h"

namespace fovea::kernels {

/// y = (1 + sigmoid(m)) * t, element by element: attention residual learning (eq. 3 of the paper).
/// m, t, y: one shape
FOVEA_KERNEL(attention_merge_forward, const Tensor& m, const Tensor& t, Tensor& y);

/// With s = sigmoid(m), computed again: dm = dy * t * s * (1 - s), dt = dy * (1 + s).
/// Either of dm and dt may be undefined: not wanted. All of one shape
FOVEA_KERNEL(attention_merge_backward, const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
             Tensor& dt);

/// y = sigmoid(m) * t: naive attention learning (eq. 1 of the paper).  m, t, y: one shape
FOVEA_KERNEL(attention_merge_naive_forward, const Tensor& m, const Tensor& t, Tensor& y);

/// With s = sigmoid(m), computed again: dm = dy * t * s * (1 - s), dt = dy * s.
/// Either of dm and dt may be undefined: not wanted. All of one shape
FOVEA_KERNEL(attention_merge_naive_backward, const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
             Tensor& dt);

}  // namespace fovea::kernels
