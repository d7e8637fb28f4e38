#pragma once

#include "fovea/kernels/batch_norm.h"
#include "fovea/layers/functional.h"

namespace fovea {

/// The batch norm of x as its kernels take it, for batch_norm and what is fused with it. Checks the
/// arguments. In training: with the moments of x, computed unless `moments` has them, and the running
/// statistics moved.
kernels::Normalisation normalisation_of(const char* operation, const Tensor& x, const ChannelMoments& moments,
                                        const Tensor& weight, const Tensor& bias, Tensor& running_mean,
                                        Tensor& running_variance, const F::BatchNormSettings& settings);

}  // namespace fovea
