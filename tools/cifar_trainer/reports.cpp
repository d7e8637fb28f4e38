#include "reports.h"

#include <nlohmann/json.hpp>

#include "fovea/config.h"

namespace fovea::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<double>& number) {
  return number ? Json(*number) : Json();
}

std::string text_of(const Json& json) {
  return json.dump(/*indent=*/2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const RunSummary& summary) {
  Json json;
  json["model"] = summary.model;
  json["parameters"] = summary.parameters;
  json["dataset"] = summary.dataset;
  json["train_images"] = summary.train_images;
  json["test_images"] = summary.test_images;
  json["finished"] = summary.finished;
  json["epochs"] = summary.epochs;
  json["steps"] = summary.steps;
  json["train_loss"] = summary.train_loss;
  json["train_accuracy"] = summary.train_accuracy;
  json["test_loss"] = summary.test ? Json(summary.test->loss) : Json();
  json["test_accuracy"] = summary.test ? Json(summary.test->accuracy) : Json();
  json["best_test_accuracy"] = summary.best_epoch > 0 ? Json(summary.best_test_accuracy) : Json();
  json["best_epoch"] = summary.best_epoch;
  json["images_per_second"] = summary.images_per_second > 0 ? Json(summary.images_per_second) : Json();
  json["peak_memory_bytes"] = summary.peak_memory_bytes;
  json["seconds"] = summary.seconds;
  json["device"] = summary.device;
  json["precision"] = summary.precision;
  json["threads"] = summary.threads;
  json["batch_size"] = summary.batch_size;
  json["seed"] = summary.seed;
  json["version"] = FOVEA_VERSION;
  return text_of(json);
}

std::string to_json(const EvaluationReport& report) {
  Json json;
  json["checkpoint"] = report.checkpoint;
  json["model"] = report.model;
  json["dataset"] = report.dataset;
  json["split"] = report.split;
  json["images"] = report.evaluation.images;
  json["loss"] = report.evaluation.loss;
  json["accuracy"] = report.evaluation.accuracy;
  json["top5_accuracy"] = number_or_null(report.evaluation.top5_accuracy);
  json["images_per_second"] = report.images_per_second;
  json["peak_memory_bytes"] = report.peak_memory_bytes;
  json["seconds"] = report.seconds;
  json["device"] = report.device;
  json["precision"] = report.precision;
  json["version"] = FOVEA_VERSION;
  return text_of(json);
}

std::string to_json(const ModelReport& report) {
  Json json;
  json["model"] = report.model;
  json["input"] = report.input.extents();
  json["classes"] = report.classes;
  json["parameters"] = report.summary.parameters;
  json["multiply_adds"] = report.summary.multiply_adds;
  json["activation_bytes"] = report.summary.activation_bytes;
  json["layers"] = Json::array();
  for (const LayerSummary& layer : report.summary.layers) {
    json["layers"].push_back({{"path", layer.path},
                              {"operation", layer.operation},
                              {"output", layer.output.extents()},
                              {"parameters", layer.parameters},
                              {"multiply_adds", layer.multiply_adds},
                              {"activation_bytes", layer.activation_bytes}});
  }
  json["version"] = FOVEA_VERSION;
  return text_of(json);
}

}  // namespace fovea::cli
