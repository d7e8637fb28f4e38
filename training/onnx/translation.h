#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fovea/training/onnx/graph.h"
#include "fovea/training/onnx/recording.h"

namespace fovea {

/// From a recording to a graph. Fovea's [N, H, W, C] and filters [K, R, S, C] are [N, C, H, W] and [K, C, R,
/// S] there: every tensor of rank 4 has its last axis second. All others lie as they are.
class OnnxTranslation {
 public:
  OnnxTranslation(OnnxGraph& graph, Model& model, const Recording& recording)
      : graph_(graph), model_(model), recording_(recording) {}

  /// Translates all operations, where `images` are the recording's images in the graph. Error that names the
  /// operation and its layer for one without a counterpart.
  void run(const std::string& images);

  /// The value of a tensor: a result, a weight, which becomes an initialiser under its path, or a constant.
  std::string value_of(const Tensor& tensor);
  std::string value_of(const Variable& variable) { return value_of(variable.value()); }

  /// A node; `what` follows the path of the layer that is being translated in its name.
  std::string node(const std::string& type, const std::string& what, const std::vector<std::string>& inputs,
                   const OnnxGraph::Attributes& attributes = {});
  /// A node that bears the name of the layer whose weight this is.
  std::string layer_node(const std::string& type, const Variable& weight,
                         const std::vector<std::string>& inputs,
                         const OnnxGraph::Attributes& attributes = {});
  std::string scalar(float number) {
    return graph_.initialiser("number", Shape{}, std::vector<float>{number});
  }
  /// A value with its axes as Fovea has them, and back; for operations that count axes.
  std::string as_fovea(const std::string& value, const Shape& shape);
  std::string as_onnx(const std::string& value, const Shape& shape);

  OnnxGraph& graph() { return graph_; }

 private:
  using Key = std::pair<const void*, Shape>;  // address and shape: a reshape keeps the address
  static Key key_of(const Tensor& tensor) { return {tensor.raw(), tensor.shape()}; }

  void find_weights();
  void find_paths();

  OnnxGraph& graph_;
  Model& model_;
  const Recording& recording_;
  std::map<Key, std::string> values_;
  std::map<Key, std::string> weights_;  // paths
  std::vector<std::string> paths_;      // of the layer of each operation
  size_t position_ = 0;                 // the operation that is being translated
};

/// Adds the nodes of one operation; the value of its result. "" for a name without a counterpart.
std::string translate(OnnxTranslation& translation, const RecordedOperation& operation);

}  // namespace fovea
