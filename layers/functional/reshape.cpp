#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::reshape(const Variable& x, const Shape& shape) {
  check_defined("reshape", "x", x);
  return record("reshape", x.value().reshape(shape), {x},
                [from = x.shape()](const Tensor& dy) -> std::vector<Tensor> { return {dy.reshape(from)}; });
}

}  // namespace fovea
