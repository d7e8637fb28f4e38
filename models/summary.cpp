#include "fovea/models/summary.h"

#include <span>
#include <string_view>
#include <utility>

namespace fovea {
namespace {

/// Each element of y is one sum over all the extents of the weight but the first: R * S * C, or C.
int64_t multiply_adds(std::string_view operation, const Tensor& y, std::span<const Variable> inputs) {
  if (operation == "conv" || operation == "linear" || operation == "preactivation_conv") {
    const Shape& weight = inputs[operation == "preactivation_conv" ? 3 : 1].shape();
    return y.size() * weight.size(1, weight.rank());
  }
  if (operation == "matmul") return y.size() * inputs[0].shape(-1);
  return 0;
}

std::string folder_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::string() : path.substr(0, dot);
}

}  // namespace

ModelSummary summarise(Model& model, const Shape& input) {
  const std::vector<NamedParameter> parameters = named_parameters(model);
  std::vector<bool> is_counted(parameters.size(), false);  // a parameter belongs to the first that uses it
  ModelSummary summary;
  summary.parameters = parameter_count(model);
  const OperationObserver observer(
      [&](std::string_view operation, const Tensor& y, std::span<const Variable> inputs) {
        if (operation == "preactivation_convs") return;  // its steps were seen
        LayerSummary layer;
        layer.operation = operation;
        layer.output = y.shape();
        for (const Variable& variable : inputs) {
          for (size_t i = 0; i < parameters.size(); ++i) {
            if (!parameters[i].variable.same_as(variable) || !variable.defined()) continue;
            layer.path = folder_of(parameters[i].path);
            if (!is_counted[i]) layer.parameters += variable.value().size();
            is_counted[i] = true;
          }
        }
        layer.multiply_adds = multiply_adds(operation, y, inputs);
        layer.activation_bytes = static_cast<int64_t>(y.bytes());
        summary.multiply_adds += layer.multiply_adds;
        summary.activation_bytes += layer.activation_bytes;
        summary.layers.push_back(std::move(layer));
      });
  const NoGrad no_grad;
  const EvaluationMode evaluation(model);
  const Dtype dtype = parameters.empty() ? Dtype::f32 : parameters.front().variable.dtype();
  model.forward(Tensor::zeros(input, dtype));
  return summary;
}

}  // namespace fovea
