#include "fovea/training/precision.h"

#include "fovea/core/check.h"

namespace fovea {

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::tf32: return "tf32";
    case Precision::bf16: return "bf16";
    case Precision::f16: return "f16";
    default: return "f32";
  }
}

Precision parse_precision(const std::string& name) {
  for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16}) {
    if (name == name_of(precision)) return precision;
  }
  throw UsageError(str("precision: \"", name, "\" is unknown, wanted f32, tf32, bf16 or f16"));
}

Dtype activation_dtype(Precision precision) {
  switch (precision) {
    case Precision::bf16: return Dtype::bf16;
    case Precision::f16: return Dtype::f16;
    default: return Dtype::f32;
  }
}

}  // namespace fovea
