#pragma once

#include "fovea/kernels/cuda/images.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels::cuda {

using IntInterval = BasicInterval<int>;

/// A Window as kernels use it.
struct PoolWindow {
  explicit PoolWindow(const Window& window)
      : size(static_cast<int>(window.size)),
        stride(static_cast<int>(window.stride)),
        padding(static_cast<int>(window.padding)),
        stride_divisor(window.stride) {}

  /// The inputs that output i covers, padding left out.
  __device__ IntInterval inputs_of(int i, int extent) const {
    const int begin = i * stride - padding;
    return {begin > 0 ? begin : 0, begin + size < extent ? begin + size : extent};
  }

  /// The outputs that cover input h.
  __device__ IntInterval outputs_of(int h, int outputs) const {
    const int first = h + padding - size + 1, end = quotient(h + padding) + 1;
    return {first > 0 ? quotient(first + stride - 1) : 0, end < outputs ? end : outputs};
  }

  int size, stride, padding;
  Divisor stride_divisor;

 private:
  __device__ int quotient(int number) const {
    return static_cast<int>(stride_divisor.quotient(static_cast<unsigned>(number)));
  }
};

}  // namespace fovea::kernels::cuda
