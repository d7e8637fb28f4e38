#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fovea/training/checkpoint.h"

namespace fovea::cli {

/// A safetensors file with the state_dict() of a network of tools/fovea_torch.py.
struct StateDictFile {
  SafetensorsFile file;
  // What Fovea or fovea_torch.save has added, as in a checkpoint: how to build the network, its classes, and
  // the normalisation of its images. None of a file that another program wrote.
  std::optional<std::string> settings, class_names;
  std::optional<ImageNormalisation> normalisation;
};

/// Writes the weights of a checkpoint so, whole or not at all, with what belongs to them.
void write_state_dict(const std::string& path, const Checkpoint& checkpoint);
/// CheckpointError for a damaged file, one of another kind, a checkpoint of Fovea, and a normalisation that
/// is none.
StateDictFile read_state_dict(const std::string& path);

}  // namespace fovea::cli
