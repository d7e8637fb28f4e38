#include "fovea/kernels/attention_merge.h"

#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/exp.h"

namespace fovea::kernels {
namespace {

/// y = (offset + sigmoid(m)) * t, offset 1 for residual and 0 for naive learning.
void merge_forward(const char* operation, int offset, const Tensor& m, const Tensor& t, Tensor& y) {
  visit_floating(operation, y.dtype(), [&]<class T>() {
    const auto merged = [one = static_cast<Accumulator<T>>(offset)](auto mask, auto trunk) {
      return (one + cpu::sigmoid(mask)) * trunk;
    };
    cpu::map_elements(y.size(), y.data<T>(), merged, m.data<T>(), t.data<T>());
  });
}

/// The gradients of merge_forward, in one pass where both are wanted.
void merge_backward(const char* operation, int offset, const Tensor& dy, const Tensor& m, const Tensor& t,
                    Tensor& dm, Tensor& dt) {
  visit_floating(operation, dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto to_mask = [](A gradient, A s, A trunk) { return gradient * trunk * s * (A(1) - s); };
    const auto to_trunk = [one = static_cast<A>(offset)](A gradient, A s) { return gradient * (one + s); };
    const T* const gradients = dy.data<T>();
    const T* const masks = m.data<T>();
    if (!dt.defined()) {
      if (!dm.defined()) return;
      const auto f = [=](A gradient, A mask, A trunk) {
        return to_mask(gradient, cpu::sigmoid(mask), trunk);
      };
      cpu::map_elements(dy.size(), dm.data<T>(), f, gradients, masks, t.data<T>());
    } else if (!dm.defined()) {
      const auto f = [=](A gradient, A mask) { return to_trunk(gradient, cpu::sigmoid(mask)); };
      cpu::map_elements(dy.size(), dt.data<T>(), f, gradients, masks);
    } else {
      const T* const trunks = t.data<T>();
      T* const mask_gradients = dm.data<T>();
      T* const trunk_gradients = dt.data<T>();
      cpu::parallel_for_elements(dy.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) {
          const A gradient = static_cast<A>(gradients[i]);
          const A s = cpu::sigmoid(static_cast<A>(masks[i]));
          mask_gradients[i] = static_cast<T>(to_mask(gradient, s, static_cast<A>(trunks[i])));
          trunk_gradients[i] = static_cast<T>(to_trunk(gradient, s));
        }
      });
    }
  });
}

}  // namespace

void cpu::attention_merge_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  merge_forward("attention_merge", /*offset=*/1, m, t, y);
}

void cpu::attention_merge_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                   Tensor& dt) {
  merge_backward("attention_merge", /*offset=*/1, dy, m, t, dm, dt);
}

void cpu::attention_merge_naive_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  merge_forward("attention_merge_naive", /*offset=*/0, m, t, y);
}

void cpu::attention_merge_naive_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                         Tensor& dt) {
  merge_backward("attention_merge_naive", /*offset=*/0, dy, m, t, dm, dt);
}

}  // namespace fovea::kernels
