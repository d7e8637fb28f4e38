#include "fovea/kernels/cast.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

Tensor converted(const Tensor& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  kernels::cast_forward(x, y);
  return y;
}

}  // namespace

Variable F::cast(const Variable& x, Dtype dtype) {
  check_defined("cast", "x", x);
  check(is_floating(dtype), "cast: to ", dtype, ", wanted f32, f64, bf16 or f16");
  return record(
      "cast", converted(x.value(), dtype), {x},
      [from = x.dtype()](const Tensor& dy) -> std::vector<Tensor> { return {converted(dy, from)}; });
}

}  // namespace fovea
