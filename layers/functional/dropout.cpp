#include "fovea/kernels/dropout.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::dropout(const Variable& x, double p, const Random& random) {
  check_defined("dropout", "x", x);
  check(p >= 0.0 && p < 1.0, "dropout: p is ", p, ", wanted 0 <= p < 1");
  check(x.value().size() <= int64_t{1} << 34, "dropout: x is ", x.value(), ", a stream has 2^34 numbers");
  Tensor y = Tensor::empty_like(x.value());
  kernels::dropout_forward(x.value(), p, random, y);
  return record("dropout", y, {x}, [p, random](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx = Tensor::empty_like(dy);
    kernels::dropout_forward(dy, p, random, dx);
    return {dx};
  });
}

}  // namespace fovea
