#include "fovea/core/dtype.h"

#include <ostream>

namespace fovea {
namespace {

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16,
                             Dtype::u8,  Dtype::i32, Dtype::i64};

}  // namespace

size_t size_of(Dtype dtype) {
  return visit_dtype(dtype, []<class T>() { return sizeof(T); });
}

const char* name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return "f32";
    case Dtype::f64: return "f64";
    case Dtype::bf16: return "bf16";
    case Dtype::f16: return "f16";
    case Dtype::u8: return "u8";
    case Dtype::i32: return "i32";
    case Dtype::i64: return "i64";
  }
  return "unknown";
}

Dtype parse_dtype(const std::string& name) {
  for (const Dtype dtype : kDtypes) {
    if (name == name_of(dtype)) return dtype;
  }
  throw UsageError(str("dtype: ", in_quotes(name), " is none of f32, f64, bf16, f16, u8, i32, i64"));
}

bool is_floating(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::bf16 || dtype == Dtype::f16;
}

std::ostream& operator<<(std::ostream& out, Dtype dtype) {
  return out << name_of(dtype);
}

}  // namespace fovea
