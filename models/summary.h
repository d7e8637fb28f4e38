#pragma once

#include <string>
#include <vector>

#include "fovea/layers/module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// One operation of a forward pass.
struct LayerSummary {
  std::string path;       // of the layer whose parameters it uses; empty for an operation without parameters
  std::string operation;  // "conv", "batch_norm_relu", "attention_merge", ...
  Shape output;
  int64_t parameters = 0;
  int64_t multiply_adds = 0;     // of convolutions and matrix products; 0 for all else
  int64_t activation_bytes = 0;  // of the result
};

/// A forward pass, operation by operation, and its sums.
struct ModelSummary {
  std::vector<LayerSummary> layers;
  int64_t parameters = 0;
  int64_t multiply_adds = 0;
  int64_t activation_bytes = 0;
};

/// Runs one forward pass in evaluation mode on zeros of shape `input`, for example [1, 32, 32, 3], and tells
/// what it did. The model is as before when it returns.
ModelSummary summarise(Model& model, const Shape& input);

}  // namespace fovea
#pragma GCC visibility pop
