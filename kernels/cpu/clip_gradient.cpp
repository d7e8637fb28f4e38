#include "fovea/kernels/clip_gradient.h"

#include <algorithm>
#include <cmath>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/arena.h"
#include "fovea/kernels/cpu/sum.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void square_sums(const Tensor& x, Tensor& sums) {
  visit_arena("square_sums", sums.dtype(), x.dtype(), [&]<class A, class G>() {
    const G* const numbers = x.data<G>();
    A* const results = sums.data<A>();
    const int64_t size = x.size(), chunk = (size + kSquareSums - 1) / kSquareSums;
    parallel_for(kSquareSums, /*grain=*/32, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = std::min(size, i * chunk), end = std::min(size, begin + chunk);
        results[i] +=
            sum_of(numbers + begin, end - begin, [](const auto& values) { return values * values; });
      }
    });
  });
}

void clip_scale(const Tensor& sums, const Tensor& gradient_scale, double most, Tensor& scale) {
  visit_arena("clip_scale", sums.dtype(), sums.dtype(), [&]<class A, class>() {
    A sum = 0;
    for (const A part : sums.span<A>()) sum += part;
    const A before = scalar_or<A>(gradient_scale, 1), norm = before * std::sqrt(sum);
    *scale.data<A>() = before * std::min(A(1), static_cast<A>(most) / (norm + static_cast<A>(1e-6)));
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
