#include "fovea/kernels/attention_merge.h"

#include "fovea/kernels/cpu/elements.h"
#include "fovea/kernels/cpu/exp.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
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
      const auto merge = [=](int64_t n, const auto& to, const auto& from) {
        A *const dm_to = to[0], *const dt_to = to[1];
        const A *const dy_from = from[0], *const m_from = from[1], *const t_from = from[2];
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) {
          const auto gradients = merge_gradients(first, dy_from[i], sigmoid(m_from[i]), t_from[i]);
          dm_to[i] = gradients.dm;
          dt_to[i] = gradients.dt;
        }
      };
      for_accumulated<T, 2, 3>(end - begin, {dms + begin, dts + begin}, {dys + begin, ms + begin, ts + begin},
                               merge);
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

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
