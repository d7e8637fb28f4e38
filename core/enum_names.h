#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace fovea {

/// The names of an enum, in the order of its values, which are 0, 1, ...; `what`: what messages call the
/// enum, as in "merge is ..., wanted one of residual, naive".
template <size_t N>
struct EnumNames {
  const char* what;
  const char* names[N];
};
template <size_t N>
EnumNames(const char*, const char* const (&)[N]) -> EnumNames<N>;

/// To be specialised beside an enum, which then has name_of, parse_enum and names_of:
///   enum class Merge { residual, naive };
///   template <>
///   inline constexpr EnumNames enum_names<Merge>{"merge", {"residual", "naive"}};
template <class E>
inline constexpr auto enum_names = nullptr;
template <class E>
concept NamedEnum = requires {
  enum_names<E>.names;
};

/// names[place], or "unknown" where there is none.
const char* name_at(std::span<const char* const> names, size_t place);
/// Where a name is; UsageError that lists the names, and suggests the nearest, where it is not.
size_t place_of(const std::string& name, std::span<const char* const> names, const char* what);

/// "residual" for Merge::residual.
template <NamedEnum E>
const char* name_of(E value) {
  return name_at(enum_names<E>.names, static_cast<size_t>(value));
}

/// Merge::residual for "residual"; UsageError for a name that there is not.
template <NamedEnum E>
E parse_enum(const std::string& name) {
  return static_cast<E>(place_of(name, enum_names<E>.names, enum_names<E>.what));
}

/// {"residual", "naive"}
template <NamedEnum E>
std::vector<std::string> names_of() {
  return {std::begin(enum_names<E>.names), std::end(enum_names<E>.names)};
}

}  // namespace fovea
#pragma GCC visibility pop
