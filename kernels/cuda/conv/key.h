#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv_problem.h"

namespace fovea::kernels::cuda {

/// The name of the kernel that a pass belongs to: "conv_backward_input".
const char* operation_of(ConvPass pass);

/// Everything on which the choice of an engine for a convolution depends, the device apart.
struct ConvKey : ConvProblem {
  ConvPass pass;
  Dtype dtype;
  bool tf32;  // whether f32 factors may be rounded to TF32; false for other dtypes

  /// Number of terms of the longest sum behind an element of the result.
  int64_t terms() const;
  /// The same convolution with C and K rounded up to what fills 16 bytes: tensor cores read no less.
  ConvKey padded() const;
  /// "conv_forward bf16 N128 H32 W32 C64 K64 R3 S3 stride1 padding1"
  std::string str() const;
  size_t hash() const;
  friend std::ostream& operator<<(std::ostream& out, const ConvKey& key) { return out << key.str(); }
  friend bool operator==(const ConvKey&, const ConvKey&) = default;
};

/// The three tensors of a convolution; the one that the pass computes is written.
/// x: [N, H, W, C], weight: [K, R, S, C], y: [N, P, Q, K]
struct ConvTensors {
  Tensor x, weight, y;

  Tensor& result(ConvPass pass);
};

/// One of cuDNN's implementations of a convolution, by its number, with its settings.
struct ConvEngine {
  struct Knob {
    int64_t type, value;  // type: cuDNN's number for what is set
    friend bool operator==(const Knob&, const Knob&) = default;
  };

  int64_t index = 0;
  std::vector<Knob> knobs;
  friend bool operator==(const ConvEngine&, const ConvEngine&) = default;
};

}  // namespace fovea::kernels::cuda
