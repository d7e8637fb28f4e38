#pragma once

#include "fovea/kernels/cuda/conv/key.h"

namespace fovea::kernels::cuda {

/// The convolution by its definition, in the order in which the definition counts its terms: what engines of
/// cuDNN are checked against, and what serves where none is left. Slow; the same bits on every run; sums in
/// f32, rounded once.
void conv_reference(const ConvKey& problem, ConvTensors& tensors);

}  // namespace fovea::kernels::cuda
