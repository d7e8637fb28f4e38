#include "fovea/kernels/dropout.h"

#include <array>

#include "fovea/kernels/cpu/elements.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

void dropout_forward(const Tensor& x, double p, const Random& random, Tensor& y) {
  visit_floating("dropout", x.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const A factor = static_cast<A>(1.0 / (1.0 - p));
    const uint64_t threshold = static_cast<uint64_t>(p * 0x1p32);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_for_elements(x.size(), [&](int64_t begin, int64_t end) {  // begin is a multiple of 4
      for (int64_t first = begin; first < end; first += 4) {
        const std::array<uint32_t, 4> numbers = random.block(static_cast<uint32_t>(first / 4));
        for (int64_t i = first; i < std::min(first + 4, end); ++i) {
          const bool is_kept = numbers[static_cast<size_t>(i - first)] >= threshold;
          to[i] = static_cast<T>(is_kept ? factor * static_cast<A>(from[i]) : A(0));
        }
      }
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
