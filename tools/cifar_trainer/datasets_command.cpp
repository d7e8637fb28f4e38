#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/data/datasets.h"
#include "output.h"

namespace fovea::cli {
namespace {

constexpr const char *kDrawn = "synthetic", *kDrawnFrom = "drawn from --seed";

// A line for a dataset, whether or not it is here.
void list(const std::string& name) {
  if (name == kDrawn) return print("{:<15}{}\n", name, kDrawnFrom);
  try {
    print("{:<15}{}\n", name, find_dataset(name, ""));
  } catch (const DataError&) {
    const bool is_cifar = name.starts_with("cifar");
    print("{:<15}not here: {}\n", name,
          is_cifar ? "cifar_trainer fetch " + name : "install Debian's package dataset-" + name);
  }
}

}  // namespace

int datasets(const Arguments& arguments) {
  for (const std::string& name : arguments.names)
    print("{}\n", name == kDrawn ? kDrawnFrom : find_dataset(name, ""));
  if (!arguments.names.empty()) return 0;
  for (const std::string& name : dataset_names()) list(name);
  return 0;
}

}  // namespace fovea::cli
