#include "fovea/training/onnx/translation.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "fovea/core/check.h"
#include "fovea/training/channels_first.h"

namespace fovea {
namespace {

std::string folder_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

/// The innermost layer that has both: "stages.0.modules.1" of "stages.0.modules.1.trunk.0" and
/// "stages.0.modules.1.mask.norm1".
std::string common_layer(const std::string& a, const std::string& b) {
  size_t end = 0;
  for (size_t i = 0; i <= std::min(a.size(), b.size()); ++i) {
    const bool ends_a = i == a.size() || a[i] == '.', ends_b = i == b.size() || b[i] == '.';
    if (ends_a && ends_b) end = i;
    if (i == a.size() || i == b.size() || a[i] != b[i]) break;
  }
  return a.substr(0, end);
}

}  // namespace

void OnnxTranslation::find_weights() {
  for (const NamedParameter& one : named_parameters(model_)) {
    weights_.emplace(key_of(one.variable.value()), one.path);
  }
  for (const NamedBuffer& one : named_buffers(model_)) weights_.emplace(key_of(one.tensor), one.path);
}

/// An operation with weights is of the layer that has them; one without belongs to the innermost layer that
/// has those before and behind it.
void OnnxTranslation::find_paths() {
  const size_t count = recording_.operations.size();
  std::vector<std::optional<std::string>> first(count), last(count);
  for (size_t i = 0; i < count; ++i) {
    for (const Variable& input : recording_.operations[i].inputs) {
      const auto weight = input.defined() ? weights_.find(key_of(input.value())) : weights_.end();
      if (weight == weights_.end()) continue;
      last[i] = folder_of(weight->second);
      if (!first[i]) first[i] = last[i];
    }
  }
  std::vector<std::optional<std::string>> behind(count);
  std::optional<std::string> next;
  for (size_t i = count; i-- > 0;) {
    behind[i] = next;
    if (first[i]) next = first[i];
  }
  std::optional<std::string> before;
  for (size_t i = 0; i < count; ++i) {
    const bool has_weights = first[i].has_value();
    const std::optional<std::string>&from = has_weights ? first[i] : before,
          &to = has_weights ? last[i] : behind[i];
    paths_.push_back(from && to ? common_layer(*from, *to) : "");
    if (has_weights) before = last[i];
  }
}

void OnnxTranslation::run(const std::string& images) {
  find_weights();
  find_paths();
  values_[key_of(recording_.images)] = images;
  for (position_ = 0; position_ < recording_.operations.size(); ++position_) {
    const RecordedOperation& one = recording_.operations[position_];
    const Key key = key_of(one.y);
    if (values_.contains(key)) continue;  // a whole whose steps were seen, or a reshape to the same shape
    const std::string layer = paths_[position_].empty() ? "the model" : paths_[position_];
    check(one.y.dtype() == Dtype::f32, "onnx: the operation ", one.operation.name, " of ", layer, " gives ",
          one.y, ", wanted f32");
    const std::string value = translate(*this, one);
    check(!value.empty(), "onnx: the operation ", one.operation.name, " of ", layer,
          " has no counterpart in ONNX; compose the layer of other operations of fovea/layers/functional.h");
    values_[key] = value;
  }
}

std::string OnnxTranslation::value_of(const Tensor& tensor) {
  const Key key = key_of(tensor);
  std::string& value = values_[key];
  if (!value.empty()) return value;
  const auto weight = weights_.find(key);
  const std::string name = weight == weights_.end() ? "constant" : weight->second;
  const Tensor numbers = tensor.to(Device::cpu());
  check(numbers.dtype() == Dtype::f32, "onnx: ", name, " is ", numbers, ", wanted f32");
  const Tensor stored = numbers.rank() == 4 ? channels_first(numbers) : numbers;
  value = graph_.initialiser(name, stored.shape(), stored);
  return value;
}

std::string OnnxTranslation::node(const std::string& type, const std::string& what,
                                  const std::vector<std::string>& inputs,
                                  const OnnxGraph::Attributes& attributes) {
  const std::string& path = paths_[position_];
  return graph_.node(type, path.empty() ? what : path + "/" + what, inputs, attributes);
}

std::string OnnxTranslation::layer_node(const std::string& type, const Variable& weight,
                                        const std::vector<std::string>& inputs,
                                        const OnnxGraph::Attributes& attributes) {
  const auto found = weights_.find(key_of(weight.value()));
  const std::string layer = found == weights_.end() ? "" : folder_of(found->second);
  return layer.empty() ? node(type, recording_.operations[position_].operation.name, inputs, attributes)
                       : graph_.node(type, layer, inputs, attributes);
}

std::string OnnxTranslation::as_fovea(const std::string& value, const Shape& shape) {
  if (shape.rank() != 4) return value;
  return node("Transpose", "channels_last", {value}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
}

std::string OnnxTranslation::as_onnx(const std::string& value, const Shape& shape) {
  if (shape.rank() != 4) return value;
  return node("Transpose", "channels_second", {value}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
}

}  // namespace fovea
