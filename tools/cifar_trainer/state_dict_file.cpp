#include "state_dict_file.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/training/state_dict.h"
#include "setup.h"

namespace fovea::cli {
namespace {

// Keys of the metadata, those of a checkpoint but for the format, which is that of PyTorch's files.
constexpr const char* kFormat = "pt";
const std::string kInfo = "info.";

std::string mean_key(size_t channel) {
  return fmt::format("normalisation.mean.{}", channel);
}
std::string deviation_key(size_t channel) {
  return fmt::format("normalisation.deviation.{}", channel);
}

std::optional<std::string> text_at(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) return std::nullopt;
  return found->second;
}

float number_at(const SafetensorsFile& file, const std::string& key, const std::string& path) {
  const std::string text = text_at(file, key).value_or("");
  float number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check<CheckpointError>(error == std::errc() && end == text.data() + text.size() && std::isfinite(number),
                         "import: ", path, ": the metadata's \"", key, "\" is ", in_quotes(text),
                         ", wanted a number");
  return number;
}

}  // namespace

void write_state_dict(const std::string& path, const Checkpoint& checkpoint) {
  SafetensorsFile file;
  file.tensors = state_dict_of(checkpoint.model, checkpoint.progress.step);
  file.metadata["format"] = kFormat;
  for (const auto& [key, text] : checkpoint.info) file.metadata[kInfo + key] = text;
  for (size_t c = 0; c < checkpoint.normalisation.mean.size(); ++c) {
    file.metadata[mean_key(c)] = fmt::format("{}", checkpoint.normalisation.mean[c]);
    file.metadata[deviation_key(c)] = fmt::format("{}", checkpoint.normalisation.deviation[c]);
  }
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
  if (!text_at(file, mean_key(0))) return result;
  ImageNormalisation normalisation;
  for (size_t c = 0; c < normalisation.mean.size(); ++c) {
    normalisation.mean[c] = number_at(file, mean_key(c), path);
    normalisation.deviation[c] = number_at(file, deviation_key(c), path);
    check<CheckpointError>(normalisation.deviation[c] > 0, "import: ", path, ": the metadata's \"",
                           deviation_key(c), "\" is ", normalisation.deviation[c], ", wanted more than 0");
  }
  result.normalisation = normalisation;
  return result;
}

}  // namespace fovea::cli
