#pragma once

#include "fovea/core/tensor.h"

namespace fovea {

/// A tensor [A, B, C, D] on the CPU as [A, D, B, C], as other frameworks have images and filters; a new one
/// of the same dtype.
Tensor channels_first(const Tensor& tensor);
/// The opposite: [A, D, B, C] as [A, B, C, D].
Tensor channels_last(const Tensor& tensor);

}  // namespace fovea
