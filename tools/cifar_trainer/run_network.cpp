#include "run_network.h"

#include <utility>

#include "fovea/data/split.h"
#include "initial_weights.h"
#include "setup.h"

namespace fovea::cli {
namespace {

// A new run takes the weights of `init`.
std::string origin_of(const std::optional<Checkpoint>& start, const std::optional<Checkpoint>& init,
                      const ImageSet& data, Model& model) {
  if (!start && !init) return "";
  const Checkpoint& checkpoint = start ? *start : *init;
  const std::vector<std::string> names = class_names_of(checkpoint);
  std::string warning =
      other_class_names(names, "the network of " + checkpoint.where, data.class_names, data.name);
  if (start) return warning;
  const InitialWeights weights = take_weights(checkpoint, std::ssize(names), model, data.classes());
  return weights.text(checkpoint.where) + (warning.empty() ? "" : "\n" + warning);
}

}  // namespace

RunImages images_of_run(Settings& settings) {
  Dataset dataset = load_images(settings);
  RunImages images;
  images.validation = hold_out_validation(settings, dataset);
  images.train = std::move(dataset.train);
  images.test = std::move(dataset.test);
  if (settings.label_noise > 0) add_label_noise(images.train, settings.label_noise, settings.training.seed);
  return images;
}

RunNetwork network_of_run(const Settings& settings, const RunImages& images, Device device,
                          const std::optional<Checkpoint>& checkpoint,
                          const std::optional<Checkpoint>& init) {
  auto model = make_network(settings, images.train.classes(), settings.training.seed);
  std::string origin = origin_of(checkpoint, init, images.train, *model);
  move_to(*model, device);
  const ImageNormalisation normalisation = checkpoint ? checkpoint->normalisation
                                           : init     ? init->normalisation
                                                      : normalisation_of(images.train);
  return {Classifier(std::move(model), normalisation, checkpoint_info(settings, images.train.class_names)),
          std::move(origin)};
}

std::vector<NamedTensor> start_weights(const RunNetwork& network,
                                       const std::optional<Checkpoint>& checkpoint) {
  return checkpoint ? checkpoint->model : network.classifier.checkpoint().model;
}

}  // namespace fovea::cli
