#include "fovea/training/non_finite.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/kernels/finite.h"

namespace fovea {
namespace {

int64_t count_non_finite(const Tensor& x) {
  if (!is_floating(x.dtype())) return 0;
  Tensor count = Tensor::zeros({}, Dtype::i64, x.device());
  kernels::count_non_finite(x, count);
  return static_cast<int64_t>(count.item());
}

/// "stages.0.unit.conv" of "stages.0.unit.conv.weight"
std::string layer_of(const std::string& parameter_path) {
  const size_t dot = parameter_path.rfind('.');
  return dot == std::string::npos ? "the model itself" : parameter_path.substr(0, dot);
}

}  // namespace

std::string explain_non_finite(Module& module, const std::function<void()>& forward) {
  const std::vector<NamedParameter> parameters = named_parameters(module);
  for (const NamedParameter& parameter : parameters) {
    const Tensor& value = parameter.variable.value();
    const int64_t count = count_non_finite(value);
    if (count > 0)
      return str("parameter ", parameter.path, " (", value, ") has ", count, " numbers that are not finite");
  }

  std::string answer, layer;
  const OperationObserver observer([&](std::string_view operation, const Tensor& y,
                                       std::span<const Variable> inputs) {
    if (!answer.empty()) return;
    bool is_of_layer = false;
    for (const Variable& input : inputs) {
      const auto parameter =
          std::find_if(parameters.begin(), parameters.end(),
                       [&](const NamedParameter& candidate) { return candidate.variable.same_as(input); });
      if (parameter == parameters.end()) continue;
      is_of_layer = true;
      layer = layer_of(parameter->path);
    }
    const int64_t count = count_non_finite(y);
    if (count == 0) return;
    answer = str("operation ", operation, is_of_layer ? " of layer " : " after layer ",
                 layer.empty() ? "none, on the images" : layer, " is the first whose result (", y,
                 ") has numbers", " that are not finite: ", count);
  });
  const NoGrad no_grad;
  forward();
  return answer.empty() ? "a second forward pass gave finite numbers: the memory may be faulty" : answer;
}

}  // namespace fovea
