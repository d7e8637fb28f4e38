#include "fovea/models/summary.h"

#include <span>
#include <string_view>
#include <utility>

#include "fovea/core/profile.h"

namespace fovea {
namespace {

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
  const MultiplyAddCounter counter;
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
        // Operations tell of themselves when they are done, so that all since the one before is theirs.
        layer.multiply_adds = counter.count() - summary.multiply_adds;
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
