#include "fovea/kernels/cast.h"

#include <type_traits>

#include "fovea/kernels/cpu/elements.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

template <class T>
inline constexpr bool is_half = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

template <class To, class From>
To convert(From x) {
  if constexpr (is_half<From>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (is_half<To>) {
    return To(static_cast<float>(x));
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace

void cast_forward(const Tensor& x, Tensor& y) {
  visit_dtype(x.dtype(), [&]<class From>() {
    visit_dtype(y.dtype(), [&]<class To>() {
      const From* from = x.data<From>();
      To* to = y.data<To>();
      parallel_for_elements(x.size(), [=](int64_t begin, int64_t end) {
        if constexpr (is_half<From> && std::is_same_v<To, float>) {
          widen_elements(from + begin, end - begin, to + begin);
        } else if constexpr (is_half<To> && std::is_same_v<From, float>) {
          round_elements(from + begin, end - begin, to + begin);
        } else {
#pragma omp simd
          for (int64_t i = begin; i < end; ++i) to[i] = convert<To>(from[i]);
        }
      });
    });
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
