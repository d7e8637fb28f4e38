#include "fovea/kernels/count_non_finite.h"

#include <algorithm>
#include <atomic>

#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void count_non_finite(const Tensor& x, Tensor& count) {
  std::atomic<int64_t> total{0};  // whole numbers: the order of the additions does not matter
  visit_floating("count_non_finite", x.dtype(), [&]<class T>() {
    const T* values = x.data<T>();
    parallel_for(x.size(), /*grain=*/1 << 16, [&](int64_t begin, int64_t end) {
      int64_t found = 0;
      for (int64_t i = begin; i < end; ++i) {
        const auto value = static_cast<Accumulator<T>>(values[i]);
        found += value - value == 0 ? 0 : 1;  // NaN and infinity less themselves are NaN
      }
      total += found;
    });
  });
  *count.data<int64_t>() += total;
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
