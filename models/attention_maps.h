#pragma once

#include <string>
#include <vector>

#include "fovea/layers/attention_module.h"

#pragma GCC visibility push(default)
namespace fovea {

/// What one attention module computed for a batch of images: f32 [N, H, W, C] on the CPU.
struct AttentionMaps {
  std::string path;  // "stages.0.modules.1"
  Tensor mask;       // M: in [0, 1], with channel attention in [-1, 1]
  Tensor trunk;      // T: the features before the mask
  Tensor merged;     // (1 + M) * T, with naive attention M * T: the features after it
};

/// The maps of all attention modules of a model, in the order in which they compute, from one forward pass in
/// evaluation mode. images: [N, H, W, 3], normalised, on the device and in the dtype of the model, which does
/// not change. UsageError for a model without attention modules. See also Classifier::attention_maps.
std::vector<AttentionMaps> attention_maps(Model& model, const Tensor& images);

}  // namespace fovea
#pragma GCC visibility pop
