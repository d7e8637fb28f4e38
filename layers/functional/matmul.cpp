#include "fovea/kernels/matmul.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {

Variable F::matmul(const Variable& a, const Variable& b) {
  check_defined("matmul", "a", a, "b", b);
  const bool fits =
      a.shape().rank() == 2 && b.shape().rank() == 2 && a.shape(1) == b.shape(0) && a.dtype() == b.dtype();
  check(fits, "matmul: a is ", a.value(), ", b is ", b.value(), "; wanted [M, K] and [K, N] of one dtype");
  check(is_floating(a.dtype()), "matmul: a is ", a.value(), ", wanted f32, f64, bf16 or f16");
  const Tensor &at = a.value(), &bt = b.value();
  Tensor y = Tensor::empty({at.shape(0), bt.shape(1)}, at.dtype(), at.device());  // [M, N]
  kernels::matmul_forward(at, /*transpose_a=*/false, bt, /*transpose_b=*/false, /*bias=*/{}, y);
  const bool needs_da = a.requires_grad(), needs_db = b.requires_grad();
  return record(
      "matmul", y, {a, b},
      [at = needs_db ? at : Tensor(),
       bt = needs_da ? bt : Tensor()](const Tensor& dy) -> std::vector<Tensor> {
        Tensor da, db;
        if (bt.defined()) {
          da = Tensor::empty({dy.shape(0), bt.shape(0)}, dy.dtype(), dy.device());  // dy * b^T: [M, K]
          kernels::matmul_forward(dy, /*transpose_a=*/false, bt, /*transpose_b=*/true, /*bias=*/{}, da);
        }
        if (at.defined()) {
          db = Tensor::empty({at.shape(1), dy.shape(1)}, dy.dtype(), dy.device());  // a^T * dy: [K, N]
          kernels::matmul_forward(at, /*transpose_a=*/true, dy, /*transpose_b=*/false, /*bias=*/{}, db);
        }
        return {da, db};
      },
      {needs_db ? at : Tensor(), needs_da ? bt : Tensor()});
}

}  // namespace fovea
