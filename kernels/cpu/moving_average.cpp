#include "fovea/kernels/moving_average.h"

#include <algorithm>

#include "fovea/kernels/cpu/elements.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void moving_average(const Tensor& x, const Tensor& steps, const Tensor& non_finite, double decay,
                    Tensor& average) {
  check(x.dtype() == average.dtype() && (x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64),
        "moving_average: x is ", x, " and the average ", average, ", wanted f32 or f64 both");
  if (*non_finite.data<int64_t>() != 0) return;
  const auto move = [&]<class T>(T* averages) {
    const T count = static_cast<T>(*steps.data<int64_t>());
    const T weight = 1 - std::min(static_cast<T>(decay), (1 + count) / (10 + count));
    const auto moved = [=](T from, T to) { return from + weight * (to - from); };
    map_elements<T>(x.size(), averages, moved, averages, x.data<T>());
  };
  if (x.dtype() == Dtype::f64) {
    move(average.data<double>());
  } else {
    move(average.data<float>());
  }
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
