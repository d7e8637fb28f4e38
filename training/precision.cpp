#include "fovea/training/precision.h"

#include "fovea/core/device.h"
#include "fovea/kernels/cast.h"

namespace fovea {

Dtype activation_dtype(Precision precision) {
  switch (precision) {
    case Precision::bf16: return Dtype::bf16;
    case Precision::f16: return Dtype::f16;
    default: return Dtype::f32;
  }
}

void set_precision(Module& module, Precision precision) {
  set_tf32(precision == Precision::tf32);
  for (NamedParameter& parameter : named_parameters(module)) {
    Tensor& value = parameter.variable.value();
    if (parameter.stays_f32 || value.dtype() == activation_dtype(precision)) continue;
    Tensor rounded = Tensor::empty(value.shape(), activation_dtype(precision), value.device());
    kernels::cast_forward(value, rounded);
    value = rounded;
    parameter.variable.zero_grad();
  }
}

}  // namespace fovea
