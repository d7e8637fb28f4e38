#include "fovea/training/checkpoint.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "fovea/core/check.h"
#include "fovea/core/number_text.h"
#include "fovea/core/printable.h"
#include "fovea/training/non_finite.h"

namespace fovea {
namespace {

using Texts = std::map<std::string, std::string>;

constexpr const char* kFormat = "fovea-checkpoint-1";
const std::string kModel = "model.", kOptimiser = "optimiser.";
const std::string kInfo = "info.", kSettings = "settings.", kProgress = "progress.";
// Keys of the convolutions' engines: for which library and device they were chosen, and one for each
// convolution.
const std::string kMadeFor = "convolutions.made_for", kConvolution = "convolution.";

/// The numbers of a file's metadata, under keys that must be there.
class TextReader {
 public:
  TextReader(const Texts& texts, const std::string& where) : texts_(texts), where_(where) {}

  bool contains(const std::string& key) const { return texts_.contains(key); }

  template <class Number>
  void read(const std::string& key, Number& number) const {
    const auto text = texts_.find(key);
    check<CheckpointError>(text != texts_.end(), "checkpoint: ", where_, ": the metadata has no \"", key,
                           "\"");
    const char *begin = text->second.data(), *end = begin + text->second.size();
    const std::from_chars_result result = std::from_chars(begin, end, number);
    bool is_sound = result.ec == std::errc() && result.ptr == end;
    if constexpr (std::is_integral_v<Number>) is_sound = is_sound && number >= 0;
    check<CheckpointError>(is_sound, "checkpoint: ", where_, ": the metadata's \"", key, "\" is ",
                           in_quotes(text->second), ", wanted a number");
  }

 private:
  const Texts& texts_;
  const std::string& where_;
};

/// Calls `field(name, member)` for each number of a TrainingProgress: the one list for writing and reading.
template <class Progress, class Field>
void visit_fields(Progress& progress, const Field& field) {
  field("step", progress.step);
  field("epoch", progress.epoch);
  field("batch", progress.batch);
  field("seed", progress.seed);
  field("batch_size", progress.batch_size);
  field("images", progress.images);
  field("loss_sum", progress.loss_sum);
  field("correct", progress.correct);
  field("train_loss", progress.train_loss);
  field("train_accuracy", progress.train_accuracy);
  field("best_accuracy", progress.best_accuracy);
  field("best_epoch", progress.best_epoch);
  if (!progress.evaluation) return;
  field("evaluation.loss", progress.evaluation->loss);
  field("evaluation.accuracy", progress.evaluation->accuracy);
  field("evaluation.images", progress.evaluation->images);
  if (progress.evaluation->top5_accuracy)
    field("evaluation.top5_accuracy", *progress.evaluation->top5_accuracy);
}

TrainingProgress read_progress(const TextReader& reader) {
  TrainingProgress progress;
  if (reader.contains(kProgress + "evaluation.loss")) progress.evaluation.emplace();
  if (reader.contains(kProgress + "evaluation.top5_accuracy") && progress.evaluation) {
    progress.evaluation->top5_accuracy = 0;
  }
  visit_fields(progress, [&](const char* name, auto& number) { reader.read(kProgress + name, number); });
  return progress;
}

/// Moves what begins with `prefix` over, without it.
void take(Texts& texts, const std::string& prefix, Texts& result) {
  for (auto entry = texts.lower_bound(prefix); entry != texts.end() && entry->first.starts_with(prefix);) {
    auto node = texts.extract(entry++);
    node.key().erase(0, prefix.size());
    result.insert(std::move(node));
  }
}

/// Files written before have the evaluation under the name "validation".
void rename_old_keys(Texts& metadata) {
  Texts evaluation;
  take(metadata, kProgress + "validation.", evaluation);
  const std::string prefix = kProgress + "evaluation.";
  for (const auto& [name, text] : evaluation) metadata.emplace(prefix + name, text);
}

std::string mean_key(size_t channel) {
  return str("normalisation.mean.", channel);
}
std::string deviation_key(size_t channel) {
  return str("normalisation.deviation.", channel);
}

}  // namespace

void add_normalisation(const ImageNormalisation& normalisation, Texts& texts) {
  for (size_t c = 0; c < normalisation.mean.size(); ++c) {
    texts[mean_key(c)] = number_text(normalisation.mean[c]);
    texts[deviation_key(c)] = number_text(normalisation.deviation[c]);
  }
}

bool has_normalisation(const Texts& texts) {
  return texts.contains(mean_key(0));
}

ImageNormalisation read_normalisation(const Texts& texts, const std::string& where) {
  const TextReader reader(texts, where);
  ImageNormalisation normalisation;
  for (size_t c = 0; c < normalisation.mean.size(); ++c) {
    float &mean = normalisation.mean[c], &deviation = normalisation.deviation[c];
    reader.read(mean_key(c), mean);
    reader.read(deviation_key(c), deviation);
    check<CheckpointError>(std::isfinite(mean), "checkpoint: ", where, ": the normalisation of channel ", c,
                           ": the metadata's \"", mean_key(c), "\" is ", mean, ", wanted a finite number");
    check<CheckpointError>(std::isfinite(deviation) && deviation > 0, "checkpoint: ", where,
                           ": the normalisation of channel ", c, ": the metadata's \"", deviation_key(c),
                           "\" is ", deviation, ", wanted more than 0");
  }
  return normalisation;
}

Checkpoint read_checkpoint(const std::string& path) {
  SafetensorsFile file = read_safetensors(path);
  const auto format = file.metadata.find("format");
  check<CheckpointError>(format != file.metadata.end() && format->second == kFormat, "checkpoint: ", path,
                         ": this is no checkpoint of Fovea: the metadata's \"format\" is ",
                         in_quotes(format == file.metadata.end() ? "" : format->second), ", wanted \"",
                         kFormat, "\"");
  Checkpoint checkpoint;
  checkpoint.where = path;
  for (const NamedTensor& entry : file.tensors) {
    if (entry.name.starts_with(kModel)) {
      checkpoint.model.push_back({entry.name.substr(kModel.size()), entry.tensor});
    } else if (entry.name.starts_with(kOptimiser)) {
      checkpoint.optimiser.push_back({entry.name.substr(kOptimiser.size()), entry.tensor});
    } else {
      throw CheckpointError(str("checkpoint: ", path, ": tensor ", in_quotes(entry.name),
                                " is of no known kind, wanted ", kModel, "... or ", kOptimiser, "..."));
    }
  }
  for (const OtherTensor& entry : file.others) {
    if (!entry.name.starts_with(kModel)) continue;
    checkpoint.others.push_back({entry.name.substr(kModel.size()), entry.dtype, entry.shape});
  }
  take(file.metadata, kInfo, checkpoint.info);
  take(file.metadata, kSettings, checkpoint.settings);
  take(file.metadata, kConvolution, checkpoint.convolutions.by_problem);
  if (const auto made_for = file.metadata.find(kMadeFor); made_for != file.metadata.end()) {
    checkpoint.convolutions.made_for = made_for->second;
  }
  rename_old_keys(file.metadata);
  const TextReader reader(file.metadata, path);
  checkpoint.normalisation = read_normalisation(file.metadata, path);
  checkpoint.progress = read_progress(reader);
  return checkpoint;
}

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  const std::string advice =
      "nothing was written; go on from an earlier checkpoint, with a lower learning rate";
  check_finite(checkpoint.model, str("save: ", path, ": "), advice);
  check_finite(checkpoint.optimiser, str("save: ", path, ": state of the optimiser: "), advice);
  SafetensorsFile file;
  for (const NamedTensor& entry : checkpoint.model)
    file.tensors.push_back({kModel + entry.name, entry.tensor});
  for (const NamedTensor& entry : checkpoint.optimiser) {
    file.tensors.push_back({kOptimiser + entry.name, entry.tensor});
  }
  file.metadata["format"] = kFormat;
  for (const auto& [key, text] : checkpoint.info) file.metadata[kInfo + key] = text;
  for (const auto& [key, text] : checkpoint.settings) file.metadata[kSettings + key] = text;
  const kernels::ConvChoices& convolutions = checkpoint.convolutions;
  if (!convolutions.made_for.empty()) file.metadata[kMadeFor] = convolutions.made_for;
  for (const auto& [problem, choice] : convolutions.by_problem) {
    file.metadata[kConvolution + problem] = choice;
  }
  add_normalisation(checkpoint.normalisation, file.metadata);
  visit_fields(checkpoint.progress, [&](const char* name, const auto& number) {
    file.metadata[kProgress + name] = number_text(number);
  });
  write_safetensors(path, file);
}

std::vector<NamedTensor> weights_of(Module& module) {
  std::vector<NamedTensor> result;
  for (const NamedParameter& entry : named_parameters(module))
    result.push_back({entry.path, entry.variable.value()});
  for (const NamedBuffer& entry : named_buffers(module)) result.push_back({entry.path, entry.tensor});
  return result;
}

size_t load_weights(Module& module, std::span<const NamedTensor> weights, const std::string& where,
                    std::span<const OtherTensor> others) {
  check_finite(weights, str("checkpoint: ", where, ": "), kAdviceOnFile);
  return copy_by_name(weights, weights_of(module), str(where, ": weights of the model"), others);
}

}  // namespace fovea
