#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fovea/core/dtype.h"

/// 64 bytes of numbers in one variable, by the vector extension that GCC and Clang share; on machines with
/// shorter vectors the compiler uses several registers.
namespace fovea::kernels::cpu {

template <class A>
struct VecOf {
  typedef A type __attribute__((vector_size(64)));
};
template <class A>
using Vec = typename VecOf<A>::type;

/// Numbers in a Vec<A>: 16 floats or 8 doubles.
template <class A>
inline constexpr int kLanes = 64 / static_cast<int>(sizeof(A));

/// As the `lanes` argument of load and store: a whole vector, known when compiling.
template <class A>
using AllLanes = std::integral_constant<int, kLanes<A>>;

/// `lanes` elements of any floating type, converted to its accumulator type; zeros after them.
template <class T, class Lanes, class A = Accumulator<T>>
inline Vec<A> load(const T* source, Lanes lanes) {
  Vec<A> result{};
  if constexpr (std::is_same_v<T, A>) {
    std::memcpy(&result, source, static_cast<size_t>(lanes) * sizeof(A));
  } else {
    for (int i = 0; i < lanes; ++i) result[i] = static_cast<A>(source[i]);
  }
  return result;
}

/// Stores the first `lanes` numbers.
template <class T, class Lanes, class A = Accumulator<T>>
inline void store(T* target, Lanes lanes, const Vec<A>& value) {
  if constexpr (std::is_same_v<T, A>) {
    std::memcpy(target, &value, static_cast<size_t>(lanes) * sizeof(A));
  } else {
    for (int i = 0; i < lanes; ++i) target[i] = T(value[i]);
  }
}

template <class A>
inline Vec<A> broadcast(A value) {
  return Vec<A>{} + value;
}

}  // namespace fovea::kernels::cpu
