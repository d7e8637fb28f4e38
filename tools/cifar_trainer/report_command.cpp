#include <cmath>
#include <filesystem>

#include "array_file.h"
#include "commands.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "output.h"
#include "report_page.h"
#include "run_folder.h"
#include "setup.h"
#include "signals.h"
#include "tested_network.h"

namespace fovea::cli {
namespace {

/// The network that the summary is about, on the test set; nothing where images or checkpoint are missing,
/// which is said.
std::optional<TestedNetwork> test_again(RunRecord& run, const Arguments& arguments) {
  const RunFolder folder(run.folder);
  const std::string tested = value_of(run.summary, "tested_checkpoint");
  const std::optional<double> accuracy = number_of(run.summary, "test_accuracy");
  if (tested.empty() || !accuracy) return std::nullopt;
  const std::string checkpoint = tested == "best.safetensors" ? folder.best() : folder.last();
  Settings settings = run.settings;
  apply_overrides(settings, arguments.settings);
  const Device device = prepare_device(settings);
  ImageSet test;
  try {
    if (!std::filesystem::exists(checkpoint)) throw DataError(checkpoint + " is not there");
    test = load_images(settings).test;
  } catch (const DataError& error) {
    show(std::string("no pictures in the report: ") + error.what() + "\n");
    return std::nullopt;
  }
  if (run.predictions && run.predictions->size() == test.size()) {
    const Classifier classifier = load_classifier(read_checkpoint(checkpoint), device, Precision::f32);
    return TestedNetwork{std::nullopt, *run.predictions, report_pictures(classifier, test, *run.predictions)};
  }
  Progress progress;
  TestedNetwork network = test_network(checkpoint, test, device, progress);
  throw_if_stopped("testing");
  if (std::abs(network.predictions.accuracy() - *accuracy) > 0.5 / static_cast<double>(test.size())) {
    show("no classes and pictures in the report: " + checkpoint +
         " has another accuracy on these images than " + folder.summary() + " says\n");
    return std::nullopt;
  }
  run.predictions = network.predictions;
  return network;
}

}  // namespace

int report(const Arguments& arguments) {
  check<UsageError>(!arguments.names.empty(), "report: wanted the folders of one or more runs");
  check<UsageError>(arguments.names.size() == 1 || !arguments.output.empty(),
                    "report: --out is missing, wanted ", "a file for the ", arguments.names.size(),
                    " runs together, such as --out runs.html");
  std::vector<RunRecord> runs;
  for (const std::string& folder : arguments.names) runs.push_back(read_run(folder));
  std::string page;
  if (runs.size() == 1) {
    const std::optional<TestedNetwork> network = test_again(runs[0], arguments);
    page = report_page(runs[0], network ? &network->pictures : nullptr);
  } else {
    page = comparison_page(runs);
  }
  const std::string path =
      arguments.output.empty() ? RunFolder(arguments.names[0]).report() : arguments.output;
  write_whole(path, page, "report", throw_as<Error>);
  print("{}\n", path);
  return 0;
}

}  // namespace fovea::cli
