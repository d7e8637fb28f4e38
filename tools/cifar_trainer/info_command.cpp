#include "commands.h"
#include "output.h"
#include "reports.h"
#include "setup.h"

namespace fovea::cli {
namespace {

void print_table(const ModelReport& report) {
  print("{:<44} {:<22} {:<20} {:>12} {:>15} {:>12}\n", "layer", "operation", "output", "parameters",
        "multiply-adds", "bytes");
  for (const LayerSummary& layer : report.summary.layers) {
    print("{:<44} {:<22} {:<20} {:>12} {:>15} {:>12}\n", layer.path, layer.operation, layer.output.str(),
          layer.parameters, layer.multiply_adds, layer.activation_bytes);
  }
  print("\n{} for images of {}x{} and {} classes\n", report.model, report.input[1], report.input[2],
        report.classes);
  print("parameters         {:>15}\n", report.summary.parameters);
  print("multiply-adds      {:>15}  per image, forward\n", report.summary.multiply_adds);
  print("activation memory  {:>15}  bytes per image, all results of a forward pass in f32\n",
        report.summary.activation_bytes);
}

}  // namespace

int info(const Arguments& arguments) {
  Settings settings;
  std::optional<int64_t> classes = arguments.classes;
  if (!arguments.checkpoint.empty()) {
    const Checkpoint checkpoint = read_named_checkpoint(arguments.checkpoint);
    settings = settings_of(checkpoint);
    if (!classes) classes = class_count(checkpoint);
  }
  apply_overrides(settings, arguments.settings);
  ModelOptions options = settings.network;
  options.classes = classes;
  options.input_size = arguments.input_size ? arguments.input_size : settings.image_size;
  const auto model = make_model(settings.model, options, /*seed=*/1);

  ModelReport report;
  report.model = settings.model;
  const int64_t size = model_input_size(settings.model, options);
  report.input = Shape{1, size, size, 3};
  report.summary = summarise(*model, report.input);
  report.classes = report.summary.layers.back().output[-1];
  if (arguments.json) {
    print("{}\n", to_json(report));
  } else {
    print_table(report);
  }
  return 0;
}

}  // namespace fovea::cli
