#include <algorithm>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/core/suggestion.h"
#include "fovea/data/datasets.h"
#include "output.h"
#include "setup.h"

namespace fovea::cli {
namespace {

constexpr const char *kDrawn = "synthetic", *kDrawnFrom = "drawn from --seed";

// A line for a dataset, whether or not it is here.
void list(const std::string& name) {
  if (name == kDrawn) return print("{:<15}{}\n", name, kDrawnFrom);
  if (name == kImageFolder)
    return print("{:<15}your own: --data DIR with a folder of PNG and JPEG files for each class\n", name);
  if (name == kNpyFolder)
    return print("{:<15}your own: --data DIR with images.npy and labels.npy of NumPy\n", name);
  try {
    print("{:<15}{}\n", name, find_dataset(name, ""));
  } catch (const DataError&) {
    const bool is_cifar = name.starts_with("cifar");
    print("{:<15}not here: {}\n", name,
          is_cifar ? "cifar_trainer fetch " + name : "install Debian's package dataset-" + name);
  }
}

// Images of each class, by part, without reading one.
void count_own(const Settings& settings) {
  const OwnImages images = list_own_images(settings);
  const auto count = [](const ImageList& list, size_t label) {
    return std::count(list.labels.begin(), list.labels.end(), static_cast<int32_t>(label));
  };
  print("{:>10} {:>10} {:>10}  {}\n", "training", "validation", "test", "class");
  for (size_t c = 0; c < images.class_names.size(); ++c) {
    print("{:>10} {:>10} {:>10}  {}\n", count(images.train, c), count(images.validation, c),
          count(images.test, c), images.class_names[c]);
  }
}

}  // namespace

int datasets(const Arguments& arguments) {
  Settings settings;
  apply_overrides(settings, arguments.settings);
  for (const std::string& name : arguments.names) {
    settings.dataset = name;
    if (name == kImageFolder || name == kNpyFolder) {
      count_own(settings);
    } else {
      print("{}\n", name == kDrawn ? kDrawnFrom : find_dataset(name, settings.data));
    }
  }
  if (!arguments.names.empty()) return 0;
  check<UsageError>(settings.data.empty(), "datasets: --data without a dataset, wanted the name of one: ",
                    joined(dataset_choices()));
  for (const std::string& name : dataset_choices()) list(name);
  return 0;
}

}  // namespace fovea::cli
