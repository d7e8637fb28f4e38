#include <fmt/format.h>
#include <filesystem>

#include "commands.h"
#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/kernels/cast.h"
#include "fovea/models/summary.h"
#include "output.h"
#include "progress.h"
#include "setup.h"
#include "signals.h"
#include "state_dict_file.h"

namespace fovea::cli {
namespace {

/// Filters and matrices as f16; the rest, which is little and wants its range, as it is.
Tensor rounded(const Tensor& weight) {
  if (weight.rank() < 2 || weight.dtype() != Dtype::f32) return weight;
  Tensor result = Tensor::empty(weight.shape(), Dtype::f16);
  kernels::cast_forward(weight, result);
  return result;
}

Tensor widened(const Tensor& weight) {
  Tensor result = Tensor::empty(weight.shape());
  copy_exactly(weight, result);
  return result;
}

/// The weights of a checkpoint alone.
Checkpoint weights_of(const Checkpoint& checkpoint, Tensor (*converted)(const Tensor&)) {
  Checkpoint result;
  result.normalisation = checkpoint.normalisation;
  result.info = checkpoint.info;
  result.progress = checkpoint.progress;
  for (const NamedTensor& weight : checkpoint.model) {
    result.model.push_back({weight.name, converted(weight.tensor)});
  }
  return result;
}

/// What was held out of the training images, and whether this network was chosen on it.
std::string held_out_text(const TrainingProgress& progress, int64_t validation) {
  const bool is_best =
      progress.best_epoch > 0 && progress.best_epoch == progress.epoch && progress.batch == 0;
  if (validation == 0)
    return is_best ? "none: the epoch was chosen on the test images" : "none: the last epoch";
  return fmt::format("{} training images{}", validation, is_best ? ", on which the epoch was chosen" : "");
}

/// What one must know of the file to use it, in Markdown.
std::string card_of(const Checkpoint& checkpoint, const Settings& settings, int64_t parameters,
                    const ImageSet& images, const Evaluation& evaluation) {
  const TrainingProgress& progress = checkpoint.progress;
  std::string text = fmt::format("# {}\n\n| | |\n| --- | --- |\n", settings.model);
  text += fmt::format("| accuracy | {:.2f}% of the {} test images of {} |\n", 100 * evaluation.accuracy,
                      evaluation.images, settings.dataset);
  text += fmt::format("| loss | {:.4f} |\n| parameters | {} |\n", evaluation.loss, parameters);
  text += fmt::format("| trained | {} epochs, {} steps of {} images; seed {} |\n", progress.epoch,
                      progress.step, progress.batch_size, progress.seed);
  text += fmt::format("| held out | {} |\n| written by | Fovea {} |\n\n",
                      held_out_text(progress, settings.validation.value_or(0)), FOVEA_VERSION);
  text += fmt::format("The images are [N, {}, {}, 3], each channel (byte / 255 - mean) / deviation:\n\n",
                      images.images.shape(1), images.images.shape(2));
  text += "| | red | green | blue |\n| --- | ---: | ---: | ---: |\n";
  const auto row = [&](const char* name, const std::array<float, 3>& values) {
    text += fmt::format("| {} | {:.4f} | {:.4f} | {:.4f} |\n", name, values[0], values[1], values[2]);
  };
  row("mean", checkpoint.normalisation.mean);
  row("deviation", checkpoint.normalisation.deviation);
  text += "\nClasses:";
  for (const std::string& name : class_names_of(checkpoint)) text += " " + name + ",";
  text.back() = '.';
  return text + "\n\nSettings of the run:\n\n```toml\n" + to_toml(settings, Selection::shaping) + "```\n";
}

}  // namespace

int export_weights(const Arguments& arguments) {
  const std::string& file = arguments.output;
  check<UsageError>(file.ends_with(".safetensors"), "export: --weights is ", file,
                    ", wanted a name that ends in .safetensors");
  const std::string card = file.substr(0, file.rfind('.')) + ".md";
  for (const std::string& path : {file, card}) {
    check<UsageError>(!std::filesystem::exists(path), "export: ", path,
                      " is there already; choose another name, or delete it");
  }
  const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
  const Settings settings = settings_for_use(checkpoint, arguments);
  const Device device = prepare_device(settings);
  const ImageSet images = load_split(settings, arguments);
  Checkpoint weights = weights_of(checkpoint, arguments.is_for_torch ? widened : rounded);
  weights.where = file;
  Classifier classifier = load_classifier(weights, device, Precision::f32);
  Progress progress;
  const Evaluation evaluation =
      classifier.evaluate(images, shown_evaluation(progress, "evaluating", settings.training.batch_size));
  throw_if_stopped("evaluating");
  if (arguments.is_for_torch) {
    write_state_dict(file, weights);
  } else {
    write_checkpoint(file, weights);
  }
  write_whole(
      card,
      card_of(checkpoint, settings_of(checkpoint), parameter_count(classifier.model()), images, evaluation),
      "export", throw_as<Error>);
  show(fmt::format("{} and {}: accuracy {:.2f}% of {} test images\n", file, card, 100 * evaluation.accuracy,
                   evaluation.images));
  return 0;
}

}  // namespace fovea::cli
