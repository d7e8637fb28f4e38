#include "fovea/training/onnx.h"

#include <onnx/checker.h>
#include <onnx/common/version.h>
#include <onnx/shape_inference/implementation.h>
#include <array>
#include <exception>

#include "fovea/config.h"
#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/number_text.h"
#include "fovea/training/onnx/graph.h"
#include "fovea/training/onnx/recording.h"
#include "fovea/training/onnx/translation.h"

namespace fovea {
namespace {

constexpr int64_t kIrVersion = 8;  // the newest that knows opset 17

std::vector<int64_t> extents_of(const Shape& one, const Shape& two) {
  std::vector<int64_t> extents;
  for (int axis = 0; axis < one.rank(); ++axis) extents.push_back(one[axis] == two[axis] ? one[axis] : -1);
  return extents;
}

/// The input and what makes normalised images [N, 3, H, W] of it, in the order of data/augment.cpp: the same
/// bits.
std::string normalised_input(OnnxGraph& graph, const ImageNormalisation& normalisation,
                             const OnnxSettings& settings) {
  std::string x = "images";
  const auto channels = [&](const char* name, const std::array<float, 3>& numbers) {
    return graph.initialiser(name, Shape{1, 3, 1, 1}, std::vector<float>(numbers.begin(), numbers.end()));
  };
  if (settings.input == OnnxInput::f32) {
    graph.input(x, ::onnx::TensorProto::FLOAT, {-1, 3, settings.height, settings.width});
  } else {
    graph.input(x, ::onnx::TensorProto::UINT8, {-1, settings.height, settings.width, 3});
    x = graph.node("Cast", "pixels", {x}, {{"to", int64_t{::onnx::TensorProto::FLOAT}}});
    x = graph.node("Transpose", "channels_second", {x}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
    x = graph.node("Div", "unit_pixels", {x, graph.initialiser("number", Shape{}, std::vector<float>{255})});
  }
  x = graph.node("Sub", "centred", {x, channels("mean", normalisation.mean)});
  return graph.node("Div", "normalised", {x, channels("deviation", normalisation.deviation)});
}

std::string text_of(const std::array<float, 3>& numbers) {
  return number_text(numbers[0]) + " " + number_text(numbers[1]) + " " + number_text(numbers[2]);
}

/// ONNX's own full check: every node, then the inference of shapes, whose contradictions are errors.
void check_graph(::onnx::ModelProto model) {
  try {
    ::onnx::checker::check_model(model);
    ::onnx::shape_inference::InferShapes(
        model, ::onnx::OpSchemaRegistry::Instance(),
        ::onnx::ShapeInferenceOptions(/*check_type=*/true, /*strict_mode=*/1, /*data_propagation=*/false));
  } catch (const std::exception& error) {
    throw Error(str("onnx: ONNX's checker refuses the graph, a fault of the export: ", error.what()));
  }
}

}  // namespace

std::string onnx_library_version() {
  return ::onnx::LAST_RELEASE_VERSION;
}

std::string onnx_bytes(Model& model, const ImageNormalisation& normalisation, const OnnxSettings& settings) {
  const Place place = place_of(model);
  check<UsageError>(place.dtype == Dtype::f32, "onnx: the model is in ", place.dtype,
                    ", wanted f32; see convert_to");
  const Recording recording = record_forward(model, settings.height, settings.width, settings.masks);
  check<UsageError>(!settings.masks || !recording.masks.empty(),
                    "onnx: masks are wanted, but the model has no attention modules");
  const std::string result_name = settings.logits ? "logits" : "probabilities";
  OnnxGraph graph;
  graph.reserve(result_name);
  for (const Recording::Mask& mask : recording.masks) graph.reserve(mask.path + ".mask");
  const std::string images = normalised_input(graph, normalisation, settings);

  OnnxTranslation translation(graph, model, recording);
  translation.run(images);
  std::string result = translation.value_of(recording.result);
  if (!settings.logits) result = graph.node("Softmax", "softmax", {result}, {{"axis", int64_t{-1}}});
  graph.output(result, result_name, extents_of(recording.result.shape(), recording.result_shape_of_two));
  for (const Recording::Mask& mask : recording.masks) {
    const Shape& shape = mask.mask.shape();
    graph.output(translation.value_of(mask.mask), mask.path + ".mask", {-1, shape[3], shape[1], shape[2]});
  }

  ::onnx::ModelProto file;
  file.set_ir_version(kIrVersion);
  file.set_producer_name("fovea");
  file.set_producer_version(FOVEA_VERSION);
  ::onnx::OperatorSetIdProto& operators = *file.add_opset_import();
  operators.set_domain("");
  operators.set_version(kOnnxOpset);
  *file.mutable_graph() = graph.take();
  file.mutable_graph()->set_name(settings.name);
  std::map<std::string, std::string> metadata = settings.metadata;
  metadata["mean"] = text_of(normalisation.mean);
  metadata["deviation"] = text_of(normalisation.deviation);
  for (const auto& [key, value] : metadata) {
    ::onnx::StringStringEntryProto& entry = *file.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  check_graph(file);
  std::string bytes;
  check(file.SerializeToString(&bytes), "onnx: the graph could not be serialised; a file has at most 2 GiB");
  return bytes;
}

void write_onnx(const std::string& path, Model& model, const ImageNormalisation& normalisation,
                const OnnxSettings& settings) {
  write_whole(path, onnx_bytes(model, normalisation, settings), "onnx", throw_as<Error>);
}

}  // namespace fovea
