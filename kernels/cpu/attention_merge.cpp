#include "fovea/kernels/attention_merge.h"

#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/exp.h"

namespace fovea::kernels::cpu {
namespace {

void forward(const char* operation, int offset, const Tensor& m, const Tensor& t, Tensor& y) {
  visit_floating(operation, y.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto f = [first = static_cast<A>(offset)](A mi, A ti) { return merged(first, sigmoid(mi), ti); };
    map_elements(y.size(), y.data<T>(), f, m.data<T>(), t.data<T>());
  });
}

void backward(const char* operation, int offset, const Tensor& dy, const Tensor& m, const Tensor& t,
              Tensor& dm, Tensor& dt) {
  visit_floating(operation, dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const auto first = static_cast<A>(offset);
    const T *const dys = dy.data<T>(), *const ms = m.data<T>(), *const ts = t.data<T>();
    T *const dms = dm.data<T>(), *const dts = dt.data<T>();
    parallel_for_elements(dy.size(), [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const auto gradients = merge_gradients(first, static_cast<A>(dys[i]), sigmoid(static_cast<A>(ms[i])),
                                               static_cast<A>(ts[i]));
        dms[i] = static_cast<T>(gradients.dm);
        dts[i] = static_cast<T>(gradients.dt);
      }
    });
  });
}

}  // namespace

void attention_merge_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  forward("attention_merge", /*offset=*/1, m, t, y);
}

void attention_merge_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm, Tensor& dt) {
  backward("attention_merge", /*offset=*/1, dy, m, t, dm, dt);
}

void attention_merge_naive_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  forward("attention_merge_naive", /*offset=*/0, m, t, y);
}

void attention_merge_naive_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                    Tensor& dt) {
  backward("attention_merge_naive", /*offset=*/0, dy, m, t, dm, dt);
}

}  // namespace fovea::kernels::cpu
