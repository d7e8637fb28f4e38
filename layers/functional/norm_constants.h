#pragma once

#include <vector>

#include "fovea/kernels/batch_norm.h"
#include "fovea/layers/functional.h"
#include "fovea/layers/functional/moments.h"

namespace fovea {

/// Checks the arguments of a batch norm of x, of this shape and dtype: for batch_norm and what is fused with
/// it.
void check_norm(const char* operation, const Shape& x, Dtype dtype, const Tensor& weight, const Tensor& bias,
                const Tensor& running_mean, const Tensor& running_variance,
                const F::BatchNormSettings& settings);

/// The batch norm of x as its kernels take it, from arguments that were checked. In training: with the
/// moments of x, computed unless `moments` has them, and the running statistics, which the forward pass
/// moves. Otherwise x is not looked at.
kernels::NormConstants norm_constants(const Tensor& x, const ChannelMoments& moments, const Tensor& weight,
                                      const Tensor& bias, Tensor& running_mean, Tensor& running_variance,
                                      const F::BatchNormSettings& settings);

/// What observers are told of a batch norm beside its inputs.
std::vector<Attribute> norm_attributes(const Tensor& running_mean, const Tensor& running_variance,
                                       const F::BatchNormSettings& settings);

/// The gradients of a batch norm's weight and bias over all of a batch, as dx needs them.
struct NormSums {
  Tensor dweight, dbias;
};
/// From those of this rank's share, which become an equal part of the sums: gradients of all parameters are
/// summed over the ranks later. (Had each its own part, a norm that is used twice would add in another order
/// than without ranks.) The same ones where norm.shares is 1.
NormSums sums_over_ranks(const kernels::NormConstants& norm, Tensor& dweight, Tensor& dbias);

/// Makes the batch norm of a forward pass that of its backward pass, which moves nothing: running statistics
/// that were its constants may move before then, so that it gets a copy of them.
void keep_for_backward(kernels::NormConstants& norm);

}  // namespace fovea
