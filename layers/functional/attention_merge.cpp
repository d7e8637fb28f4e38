#include "fovea/kernels/attention_merge.h"

#include "fovea/layers/functional.h"
#include "fovea/layers/functional/defined.h"

namespace fovea {
namespace {

template <class Forward, class Backward>
Variable merge(const char* operation, const Variable& m, const Variable& t, const Forward& forward,
               const Backward& backward) {
  check_defined(operation, "m", m, "t", t);
  const Tensor &m_value = m.value(), &t_value = t.value();
  check(m.shape() == t.shape() && m_value.dtype() == t_value.dtype(), operation, ": m is ", m_value,
        ", t is ", t_value, "; wanted one shape and dtype");
  Tensor y = Tensor::empty_like(t_value);
  forward(m_value, t_value, y);
  return record(operation, y, {m, t},
                [=](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dm = Tensor::empty_like(m_value), dt = Tensor::empty_like(t_value);
                  backward(dy, m_value, t_value, dm, dt);
                  return {dm, dt};
                },
                {m_value, t_value});
}

}  // namespace

Variable F::attention_merge(const Variable& m, const Variable& t) {
  return merge("attention_merge", m, t, kernels::attention_merge_forward, kernels::attention_merge_backward);
}

Variable F::attention_merge_naive(const Variable& m, const Variable& t) {
  return merge("attention_merge_naive", m, t, kernels::attention_merge_naive_forward,
               kernels::attention_merge_naive_backward);
}

}  // namespace fovea
