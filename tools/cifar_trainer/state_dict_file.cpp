#include "state_dict_file.h"

#include "fovea/core/check.h"
#include "fovea/training/state_dict.h"
#include "setup.h"

namespace fovea::cli {
namespace {

// Keys of the metadata, those of a checkpoint but for the format, which is that of PyTorch's files.
constexpr const char* kFormat = "pt";
const std::string kInfo = "info.";

std::optional<std::string> text_at(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) return std::nullopt;
  return found->second;
}

}  // namespace

void write_state_dict(const std::string& path, const Checkpoint& checkpoint) {
  SafetensorsFile file;
  file.tensors = state_dict_of(checkpoint.model, checkpoint.progress.step);
  file.metadata["format"] = kFormat;
  for (const auto& [key, text] : checkpoint.info) file.metadata[kInfo + key] = text;
  add_normalisation(checkpoint.normalisation, file.metadata);
  write_safetensors(path, file);
}

StateDictFile read_state_dict(const std::string& path) {
  StateDictFile result{read_safetensors(path), {}, {}, {}};
  const SafetensorsFile& file = result.file;
  const std::string format = text_at(file, "format").value_or("");
  check<CheckpointError>(!format.starts_with("fovea-checkpoint"), "import: ", path,
                         " is a checkpoint of Fovea already: --checkpoint takes it as it is");
  result.settings = text_at(file, kInfo + kSettingsKey);
  result.class_names = text_at(file, kInfo + kClassNamesKey);
  if (has_normalisation(file.metadata)) result.normalisation = read_normalisation(file.metadata, path);
  return result;
}

}  // namespace fovea::cli
