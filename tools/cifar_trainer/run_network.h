#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fovea/training/classifier.h"
#include "settings.h"

namespace fovea::cli {

/// What a run learns from, decides by, and is tested with.
struct RunImages {
  ImageSet train, validation, test;  // validation: empty for none

  const ImageSet* validation_or_null() const { return validation.size() > 0 ? &validation : nullptr; }
};
/// The images of a run; settles the number of those held out, if it was not.
RunImages images_of_run(Settings& settings);

/// The network of a run at its start, and what is to be said about where its weights come from.
struct RunNetwork {
  Classifier classifier;
  std::string origin;
};
/// `checkpoint`: where the run goes on from (the weights are read when it is resumed); `init`: whose weights
/// a new one takes.
RunNetwork network_of_run(const Settings& settings, const RunImages& images, Device device,
                          const std::optional<Checkpoint>& checkpoint, const std::optional<Checkpoint>& init);

/// The weights with which a run begins, or goes on.
std::vector<NamedTensor> start_weights(const RunNetwork& network,
                                       const std::optional<Checkpoint>& checkpoint);

}  // namespace fovea::cli
