#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "commands.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/models/summary.h"
#include "fovea/training/state_dict.h"
#include "output.h"
#include "setup.h"
#include "state_dict_file.h"

namespace fovea::cli {
namespace {

/// Which network the weights are of: as the file says, changed by the flags.
Settings network_of(const StateDictFile& state, const std::string& path, const Overrides& flags) {
  check<UsageError>(state.settings || is_given(flags, "model"), "import: ", path,
                    " does not say which network its weights are of; --model names it");
  Settings settings;
  if (state.settings) {
    Checkpoint described;
    described.where = path;
    described.info = {{kSettingsKey, *state.settings}};
    settings = settings_of(described);
  }
  apply_overrides(settings, flags);
  return settings;
}

}  // namespace

int import_weights(const Arguments& arguments) {
  check<UsageError>(arguments.names.size() == 1, "import: ", arguments.names.size(),
                    " files are named, wanted one");
  const std::string &path = arguments.names[0], &out = arguments.output;
  check<UsageError>(out.ends_with(".safetensors"), "import: --out is ", out,
                    ", wanted a name that ends in .safetensors");
  check<UsageError>(!std::filesystem::exists(out), "import: ", out,
                    " is there already; choose another name, or delete it");
  const StateDictFile state = read_state_dict(path);
  const Settings settings = network_of(state, path, arguments.settings);

  Checkpoint checkpoint;
  checkpoint.where = path;
  std::string source = "the file";
  if (state.normalisation && state.class_names) {
    checkpoint.normalisation = *state.normalisation;
    checkpoint.info = checkpoint_info(settings, {});
    checkpoint.info[kClassNamesKey] = *state.class_names;
  } else {
    const ImageSet train = load_images(settings).train;
    checkpoint.normalisation = normalisation_of(train);
    checkpoint.info = checkpoint_info(settings, train.class_names);
    source = settings.dataset;
  }
  const std::string& names = checkpoint.info[kClassNamesKey];
  const auto classes = std::count(names.begin(), names.end(), '\n');
  check<CheckpointError>(classes > 0, "import: ", path, " names no classes, wanted one a line");
  const std::unique_ptr<Model> network = make_network(settings, classes, /*seed=*/0);
  load_state_dict(*network, state.file, path);
  checkpoint.model = weights_of(*network);
  write_checkpoint(out, checkpoint);
  show(
      printable(fmt::format("{}: {}, {} parameters; {} classes and the normalisation of {}\n"
                            "cifar_trainer evaluate --checkpoint {} says how good it is\n",
                            out, settings.model, parameter_count(*network), classes, source, out)));
  return 0;
}

}  // namespace fovea::cli
