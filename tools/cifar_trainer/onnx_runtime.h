#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "fovea/core/safetensors.h"

namespace fovea::cli {

/// What ONNX Runtime makes of a file.
struct RuntimeComparison {
  std::string version;        // of ONNX Runtime
  double difference = 0;      // the largest of an output, as a share of the largest number of that output
  int64_t other_classes = 0;  // images that it puts into another class
};

/// Computes a file of ONNX, of these bytes, in the ONNX Runtime of FOVEA_PYTHON, else python3, and compares
/// with `outputs`, under the outputs' names: f32 [N, classes], masks [N, H, W, C]. images: u8 [N, H, W, 3].
/// Nothing, after it was said why, where there is no ONNX Runtime; Error where it cannot compute the file.
std::optional<RuntimeComparison> compare_with_runtime(const std::string& bytes, const Tensor& images,
                                                      std::span<const NamedTensor> outputs);

}  // namespace fovea::cli
