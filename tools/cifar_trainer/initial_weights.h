#pragma once

#include <string>
#include <vector>

#include "fovea/layers/module.h"
#include "fovea/training/checkpoint.h"

namespace fovea::cli {

/// What a new network took from a checkpoint: the names of its tensors that are the checkpoint's now, and
/// those that stay as they were, as "linear.weight (f32[10, 64] there, f32[100, 64] here)".
struct InitialWeights {
  std::vector<std::string> taken, fresh;
  size_t converted = 0;  // of those taken: of a narrower dtype there, such as bf16, and exact here

  /// "164 tensors taken from FILE; not taken, and as in a new network: ..."
  std::string text(const std::string& file) const;
};

/// Copies the weights of a checkpoint into a network of the same kind, which may have another number of
/// classes: `classes` instead of `classes_there`. The layer of the classes then stays as it is.
/// CheckpointError for another network, Error for numbers that are not finite; then nothing has changed.
InitialWeights take_weights(const Checkpoint& checkpoint, int64_t classes_there, Module& module,
                            int64_t classes);

/// A warning where the same number of classes has other names; "" where the names are the same,
/// or not known, as where a dataset's folder has none: they are "0", "1", ... then.
/// `there`: what has `names_there`, for example "the network of best.safetensors".
std::string other_class_names(const std::vector<std::string>& names_there, const std::string& there,
                              const std::vector<std::string>& names, const std::string& dataset);

}  // namespace fovea::cli
