#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>

#include "fovea/core/check.h"
#include "fovea/core/enum_names.h"
#include "fovea/core/half.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Element types. f64 exists on the CPU only, for checking gradients; u8, i32 and i64 hold data and labels.
enum class Dtype : uint8_t { f32, f64, bf16, f16, u8, i32, i64 };
template <>
inline constexpr EnumNames enum_names<Dtype>{"dtype", {"f32", "f64", "bf16", "f16", "u8", "i32", "i64"}};

/// Bytes of one element.
size_t size_of(Dtype dtype);
/// True for f32, f64, bf16 and f16.
bool is_floating(Dtype dtype);
std::ostream& operator<<(std::ostream& out, Dtype dtype);

/// dtype_of<float> == Dtype::f32, and so on.
template <class T>
inline constexpr Dtype dtype_of = [] {
  static_assert(sizeof(T) == 0, "no dtype for this type");
  return Dtype::f32;
}();
template <>
inline constexpr Dtype dtype_of<float> = Dtype::f32;
template <>
inline constexpr Dtype dtype_of<double> = Dtype::f64;
template <>
inline constexpr Dtype dtype_of<bf16> = Dtype::bf16;
template <>
inline constexpr Dtype dtype_of<f16> = Dtype::f16;
template <>
inline constexpr Dtype dtype_of<uint8_t> = Dtype::u8;
template <>
inline constexpr Dtype dtype_of<int32_t> = Dtype::i32;
template <>
inline constexpr Dtype dtype_of<int64_t> = Dtype::i64;

/// The type in which sums over T are kept: double for double, float for f32, bf16 and f16.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

/// The dtype of Accumulator<T>: f64 for f64, f32 for the other floating types.
inline Dtype accumulator_of(Dtype dtype) {
  return dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32;
}

/// Calls `body.template operator()<T>()` with the C++ type of a floating dtype.
template <class Body>
decltype(auto) visit_floating(const char* operation, Dtype dtype, Body&& body) {
  switch (dtype) {
    case Dtype::f32: return body.template operator()<float>();
    case Dtype::f64: return body.template operator()<double>();
    case Dtype::bf16: return body.template operator()<bf16>();
    case Dtype::f16: return body.template operator()<f16>();
    default: break;
  }
  throw Error(str(operation, ": dtype is ", dtype, ", wanted f32, f64, bf16 or f16"));
}

/// Like visit_floating, for every dtype.
template <class Body>
decltype(auto) visit_dtype(Dtype dtype, Body&& body) {
  switch (dtype) {
    case Dtype::f32: return body.template operator()<float>();
    case Dtype::f64: return body.template operator()<double>();
    case Dtype::bf16: return body.template operator()<bf16>();
    case Dtype::f16: return body.template operator()<f16>();
    case Dtype::u8: return body.template operator()<uint8_t>();
    case Dtype::i32: return body.template operator()<int32_t>();
    case Dtype::i64: return body.template operator()<int64_t>();
  }
  throw Error("visit_dtype: not a dtype");
}

}  // namespace fovea
#pragma GCC visibility pop
