#include "fovea/core/dtype.h"

#include <ostream>

namespace fovea {

size_t size_of(Dtype dtype) {
  return visit_dtype(dtype, []<class T>() { return sizeof(T); });
}

bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::bf16 || dtype == Dtype::f16;
}

std::ostream& operator<<(std::ostream& out, Dtype dtype) {
  return out << name_of(dtype);
}

}  // namespace fovea
