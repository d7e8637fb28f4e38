#include "reports.h"

#include <concepts>
#include <optional>
#include <type_traits>

#include "fovea/config.h"
#include "fovea/core/json_writer.h"

namespace fovea::cli {
namespace {

/// An object, on a line for each entry.
class Report {
 public:
  Report() { json_.begin_object(); }

  void add(const char* key, const std::string& value) {
    json_.key(key);
    json_.text(value);
  }
  void add(const char* key, const char* value) { add(key, std::string(value)); }
  template <std::integral T>
  void add(const char* key, T value) {
    json_.key(key);
    if constexpr (std::is_same_v<T, bool>) {
      json_.boolean(value);
    } else {
      json_.integer(static_cast<int64_t>(value));
    }
  }
  void add(const char* key, double value) {
    json_.key(key);
    json_.number(value);
  }
  /// Null without one.
  void add(const char* key, std::optional<double> value) {
    json_.key(key);
    value ? json_.number(*value) : json_.null();
  }
  /// NAME_loss and NAME_accuracy, null without one.
  void add_evaluation(const std::string& name, const std::optional<Evaluation>& evaluation) {
    add((name + "_loss").c_str(), evaluation ? std::optional(evaluation->loss) : std::nullopt);
    add((name + "_accuracy").c_str(), evaluation ? std::optional(evaluation->accuracy) : std::nullopt);
  }
  void add(const char* key, const Shape& shape) {
    json_.key(key);
    json_.begin_array();
    for (const int64_t extent : shape.extents()) json_.integer(extent);
    json_.end_array();
  }
  void add_layer(const LayerSummary& layer) {
    json_.begin_object();
    add("path", layer.path);
    add("operation", layer.operation);
    add("output", layer.output);
    add("parameters", layer.parameters);
    add("multiply_adds", layer.multiply_adds);
    add("activation_bytes", layer.activation_bytes);
    json_.end_object();
  }
  void add_layers(const std::vector<LayerSummary>& layers) {
    json_.key("layers");
    json_.begin_array();
    for (const LayerSummary& layer : layers) add_layer(layer);
    json_.end_array();
  }

  std::string text() {
    json_.end_object();
    return json_.str();
  }

 private:
  JsonWriter json_{/*indent=*/2};
};

}  // namespace

std::string to_json(const RunSummary& summary) {
  Report json;
  json.add("model", summary.model);
  json.add("parameters", summary.parameters);
  json.add("dataset", summary.dataset);
  json.add("train_images", summary.train_images);
  json.add("validation_images", summary.validation_images);
  json.add("test_images", summary.test_images);
  json.add("finished", summary.finished);
  json.add("epochs", summary.epochs);
  json.add("steps", summary.steps);
  json.add("train_loss", summary.train_loss);
  json.add("train_accuracy", summary.train_accuracy);
  json.add_evaluation("validation", summary.validation);
  json.add("best_validation_accuracy",
           summary.best_epoch > 0 ? std::optional(summary.best_validation_accuracy) : std::nullopt);
  json.add("best_epoch", summary.best_epoch);
  json.add_evaluation("test", summary.test);
  json.add("tested_checkpoint", summary.tested_checkpoint);
  json.add("images_per_second",
           summary.images_per_second > 0 ? std::optional(summary.images_per_second) : std::nullopt);
  json.add("peak_memory_bytes", summary.peak_memory_bytes);
  json.add("seconds", summary.seconds);
  json.add("device", summary.device);
  json.add("processor", summary.processor);
  json.add("precision", summary.precision);
  json.add("cpu_kernels", summary.cpu_kernels);
  json.add("threads", summary.threads);
  json.add("ranks", summary.ranks);
  json.add("batch_size", summary.batch_size);
  json.add("seed", summary.seed);
  json.add("version", FOVEA_VERSION);
  return json.text();
}

std::string to_json(const EvaluationReport& report) {
  Report json;
  json.add("checkpoint", report.checkpoint);
  json.add("model", report.model);
  json.add("dataset", report.dataset);
  json.add("split", report.split);
  json.add("flip_average", report.flip_average);
  json.add("images", report.evaluation.images);
  json.add("loss", report.evaluation.loss);
  json.add("accuracy", report.evaluation.accuracy);
  json.add("top5_accuracy", report.evaluation.top5_accuracy);
  json.add("images_per_second", report.images_per_second);
  json.add("peak_memory_bytes", report.peak_memory_bytes);
  json.add("seconds", report.seconds);
  json.add("device", report.device);
  json.add("precision", report.precision);
  json.add("cpu_kernels", report.cpu_kernels);
  json.add("version", FOVEA_VERSION);
  return json.text();
}

std::string to_json(const ModelReport& report) {
  Report json;
  json.add("model", report.model);
  json.add("input", report.input);
  json.add("classes", report.classes);
  json.add("parameters", report.summary.parameters);
  json.add("multiply_adds", report.summary.multiply_adds);
  json.add("activation_bytes", report.summary.activation_bytes);
  json.add_layers(report.summary.layers);
  json.add("version", FOVEA_VERSION);
  return json.text();
}

}  // namespace fovea::cli
