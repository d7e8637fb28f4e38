#include "fovea/kernels/channel_norm.h"

#include <cmath>

#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

constexpr double kSmallestNorm = 1e-12;

/// The sum over the channels of a[c] * b[c]: one partial sum in each lane, then the lanes in order.
template <class T>
Accumulator<T> dot(const T* a, const T* b, int64_t C) {
  using A = Accumulator<T>;
  Vec<A> partial{};
  for_each_vector<A>(C, [&](int64_t c, auto lanes) { partial += load(a + c, lanes) * load(b + c, lanes); });
  A sum = 0;
  for (int lane = 0; lane < kLanes<A>; ++lane) sum += partial[lane];
  return sum;
}

}  // namespace

void channel_norm_forward(const Tensor& x, Tensor& y) {
  const int64_t positions = x.shape().size(0, 3), C = x.shape(3);
  visit_floating("channel_norm", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_for_rows(positions, C, [=](int64_t position) {
      const T* const channels = from + position * C;
      const A norm = std::sqrt(dot(channels, channels, C));
      const A divisor = norm < static_cast<A>(kSmallestNorm) ? static_cast<A>(kSmallestNorm) : norm;
      for_each_vector<A>(C, [&](int64_t c, auto lanes) {
        store(to + position * C + c, lanes, load(channels + c, lanes) / divisor);
      });
    });
  });
}

void channel_norm_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  const int64_t positions = x.shape().size(0, 3), C = x.shape(3);
  visit_floating("channel_norm", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* const gradients = dy.data<T>();
    const T* const from = x.data<T>();
    T* const to = dx.data<T>();
    parallel_for_rows(positions, C, [=](int64_t position) {
      const T* const channels = from + position * C;
      const T* const gradient = gradients + position * C;
      const A norm = std::sqrt(dot(channels, channels, C));
      const bool is_clamped = norm < static_cast<A>(kSmallestNorm);
      const A divisor = is_clamped ? static_cast<A>(kSmallestNorm) : norm;
      const A along = is_clamped ? A(0) : dot(gradient, channels, C) / norm / norm;
      for_each_vector<A>(C, [&](int64_t c, auto lanes) {
        const Vec<A> dz = load(gradient + c, lanes) - load(channels + c, lanes) * along;
        store(to + position * C + c, lanes, dz / divisor);
      });
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
