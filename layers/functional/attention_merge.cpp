#include "fovea/kernels/attention_merge.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

void check_alike(const char* operation, const Variable& m, const Variable& t) {
  check(m.shape() == t.shape() && m.dtype() == t.dtype(), operation, ": m is ", m.value(), ", t is ",
        t.value(), "; wanted one shape and dtype");
}

}  // namespace

Variable F::attention_merge(const Variable& m, const Variable& t) {
  check_defined("attention_merge", "m", m, "t", t);
  check_alike("attention_merge", m, t);
  const Tensor mt = m.value(), tt = t.value();
  Tensor y = Tensor::empty_like(tt);
  kernels::attention_merge_forward(mt, tt, y);
  const bool m_needed = m.requires_grad(), t_needed = t.requires_grad();
  return record("attention_merge", y, {m, t}, [=](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dm = m_needed ? Tensor::empty_like(mt) : Tensor();
    Tensor dt = t_needed ? Tensor::empty_like(tt) : Tensor();
    kernels::attention_merge_backward(dy, mt, tt, dm, dt);
    return {dm, dt};
  });
}

Variable F::attention_merge_naive(const Variable& m, const Variable& t) {
  check_defined("attention_merge_naive", "m", m, "t", t);
  check_alike("attention_merge_naive", m, t);
  const Tensor mt = m.value(), tt = t.value();
  Tensor y = Tensor::empty_like(tt);
  kernels::attention_merge_naive_forward(mt, tt, y);
  const bool m_needed = m.requires_grad(), t_needed = t.requires_grad();
  return record("attention_merge_naive", y, {m, t}, [=](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dm = m_needed ? Tensor::empty_like(mt) : Tensor();
    Tensor dt = t_needed ? Tensor::empty_like(tt) : Tensor();
    kernels::attention_merge_naive_backward(dy, mt, tt, dm, dt);
    return {dm, dt};
  });
}

}  // namespace fovea
