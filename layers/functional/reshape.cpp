#include "fovea/layers/functional.h"

namespace fovea {

Variable F::reshape(const Variable& x, const Shape& shape) {
  return record("reshape", x.value().reshape(shape), {x},
                [from = x.shape()](const Tensor& dy) -> std::vector<Tensor> { return {dy.reshape(from)}; });
}

}  // namespace fovea
