#pragma once

#include "fovea/kernels/kernel.h"

/// Where an attention module's mask branch and trunk branch become one (Wang et al. 2017, section 3.1). With
/// s = sigmoid(m), the mask:
///   y = (1 + s) * t   attention residual learning, eq. 3
///   y = s * t         naive attention learning, eq. 1
/// The backward pass computes s again. All tensors of one shape, every element of dm and dt is written.
#pragma GCC visibility push(default)
namespace fovea::kernels {

/// One element, on every device: `offset` is 1 for residual and 0 for naive learning.
template <class A>
constexpr A merged(A offset, A s, A t) {
  return (offset + s) * t;
}

template <class A>
struct MergeGradients {
  A dm, dt;
};
template <class A>
constexpr MergeGradients<A> merge_gradients(A offset, A dy, A s, A t) {
  return {dy * t * s * (A(1) - s), dy * (offset + s)};
}

FOVEA_KERNEL(attention_merge_forward, const Tensor& m, const Tensor& t, Tensor& y);
FOVEA_KERNEL(attention_merge_backward, const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
             Tensor& dt);

FOVEA_KERNEL(attention_merge_naive_forward, const Tensor& m, const Tensor& t, Tensor& y);
FOVEA_KERNEL(attention_merge_naive_backward, const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
             Tensor& dt);

}  // namespace fovea::kernels
#pragma GCC visibility pop
