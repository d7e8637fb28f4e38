#include "fovea/training/precision.h"

#include <algorithm>

#include "fovea/core/check.h"
#include "fovea/core/device.h"
#include "fovea/core/printable.h"
#include "fovea/kernels/cast.h"
#include "fovea/layers/norm.h"

namespace fovea {

Dtype activation_dtype(Precision precision) {
  switch (precision) {
    case Precision::bf16: return Dtype::bf16;
    case Precision::f16: return Dtype::f16;
    default: return Dtype::f32;
  }
}

std::vector<Variable> parameters_in_f32(Module& module) {
  std::vector<Variable> result;
  for_each_module(module, [&](const std::string&, Module& inner) {
    if (const auto* norm = dynamic_cast<const BatchNorm*>(&inner)) {
      result.push_back(norm->weight);
      result.push_back(norm->bias);
    }
  });
  return result;
}

void set_precision(Module& module, Precision precision) {
  set_tf32(precision == Precision::tf32);
  const std::vector<Variable> in_f32 = parameters_in_f32(module);
  for (NamedParameter& parameter : named_parameters(module)) {
    const bool stays = std::any_of(in_f32.begin(), in_f32.end(),
                                   [&](const Variable& other) { return other.same_as(parameter.variable); });
    Tensor& value = parameter.variable.value();
    if (stays || value.dtype() == activation_dtype(precision)) continue;
    Tensor rounded = Tensor::empty(value.shape(), activation_dtype(precision), value.device());
    kernels::cast_forward(value, rounded);
    value = rounded;
    parameter.variable.zero_grad();
  }
}

}  // namespace fovea
