#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/enum_names.h"

#pragma GCC visibility push(default)
namespace fovea {

/// What a settings struct says of one of its fields, beside name and value.
struct FieldInfo {
  const char* help = "";
  double least = 0;  // the range of a number, or of each number of a list
  double most = std::numeric_limits<double>::infinity();
  bool above_least = false;            // `least` itself is out of the range
  bool below_most = false;             // `most` itself is out of the range
  std::vector<std::string> choices{};  // the values of a text; empty: any. An enum has its names
  const char* flag = nullptr;          // and key of a file; nullptr: Field::default_flag; "": neither
  const char* group = "";              // a heading of the help; "": that of the struct which this one is in
  bool is_used = true;                 // false: with the values of now this field means nothing
  bool shapes_result = true;           // false: a run may be resumed with another value
};

/// A settings struct names each of its fields once, and check_ranges, describe, the flags of a program, its
/// help and its files come from that:
///   template <class V>
///   void visit(V&& v) {
///     v("momentum", momentum, {.help = "of sgd", .most = 1, .below_most = true});
///   }
/// A field may itself be such a struct: the path of its field then is "optimiser.momentum", but that of a
/// field called "kind" is "optimiser", without ".kind".
template <class S>
concept HasFields = requires(S& settings) {
  settings.visit([](const char*, auto&, const FieldInfo&) {});
};

/// What a field can hold; uint64_t is for whole numbers beyond int64_t.
using FieldValue = std::variant<std::string, int64_t, double, bool, std::vector<double>, uint64_t>;
enum class FieldKind { text, integer, number, flag, numbers };

/// A field of some settings, which must outlive it.
struct Field {
  std::string path;  // "optimiser.momentum"
  FieldInfo info;
  FieldKind kind;
  std::function<std::optional<FieldValue>()> value;  // nothing: an optional that is not set
  std::function<void(const FieldValue&)> set;  // takes what `value` gives; none: whether a struct is there

  /// The last part of the path, with dashes: "learning-rate" of "schedule.learning_rate".
  std::string default_flag() const;
  /// What it takes: "a whole number from 1 to 16", "one of sgd, adamw".
  std::string wanted() const;
  /// Sets it; a whole number may be given as 1.0. UsageError, which calls it `where`, for a value that does
  /// not fit.
  void assign(const FieldValue& new_value, const std::string& where) const;
};

namespace settings_fields {

template <class T>
struct Unwrapped {
  using type = T;
};
template <class T>
struct Unwrapped<std::optional<T>> {
  using type = T;
};

template <class T>
constexpr FieldKind kind_of() {
  if constexpr (std::is_same_v<T, bool>)
    return FieldKind::flag;
  else if constexpr (std::is_integral_v<T>)
    return FieldKind::integer;
  else if constexpr (std::is_floating_point_v<T>)
    return FieldKind::number;
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    return FieldKind::numbers;
  else
    return FieldKind::text;
}

template <class T>
FieldValue to_value(const T& held) {
  if constexpr (NamedEnum<T>) {
    return std::string(name_of(held));
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    const bool is_small = held <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    return is_small ? FieldValue(static_cast<int64_t>(held)) : FieldValue(held);
  } else {
    return held;
  }
}

template <class T>
T from_value(const FieldValue& value) {
  if constexpr (NamedEnum<T>) {
    return parse_enum<T>(std::get<std::string>(value));
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    const auto* large = std::get_if<uint64_t>(&value);
    return large != nullptr ? *large : static_cast<uint64_t>(std::get<int64_t>(value));
  } else {
    return std::get<T>(value);
  }
}

/// Visits settings, and those in them.
struct Collector {
  std::vector<Field>& fields;
  std::string prefix;  // "" or "optimiser."
  const char* group;

  template <class T>
  void operator()(const char* name, T& held, const FieldInfo& info) const {
    using Inner = typename Unwrapped<T>::type;
    constexpr bool is_optional = !std::is_same_v<T, Inner>;
    const std::string path = path_of(name);
    const char* const heading = info.group[0] != '\0' ? info.group : group;
    if constexpr (HasFields<Inner> && is_optional) {
      fields.push_back({path, info, FieldKind::flag, [&held] { return FieldValue(held.has_value()); }, {}});
      fields.back().info.flag = "";
      if (held) held->visit(Collector{fields, path + ".", heading});
    } else if constexpr (HasFields<Inner>) {
      held.visit(Collector{fields, path + ".", heading});
    } else {
      fields.push_back({path, info, kind_of<Inner>(), {}, {}});
      Field& field = fields.back();
      field.info.group = heading;
      if constexpr (NamedEnum<Inner>) field.info.choices = names_of<Inner>();
      field.value = [&held]() -> std::optional<FieldValue> {
        if constexpr (is_optional)
          return held ? std::optional(to_value(*held)) : std::nullopt;
        else
          return to_value(held);
      };
      field.set = [&held](const FieldValue& value) { held = from_value<Inner>(value); };
    }
  }

  std::string path_of(const std::string& name) const {
    const bool is_kind = name == "kind" && !prefix.empty();
    return is_kind ? prefix.substr(0, prefix.size() - 1) : prefix + name;
  }
};

}  // namespace settings_fields

/// All fields, in the order of `visit`.
template <HasFields S>
std::vector<Field> fields_of(S& settings) {
  std::vector<Field> fields;
  settings.visit(settings_fields::Collector{fields, "", ""});
  return fields;
}

/// A value as text: 0.1, sgd, true, "1, 2". A number reads back to the same bits.
std::string field_text(const FieldValue& value);
/// A number such as 1.0 or 1e3 as the whole number that it is.
std::optional<int64_t> whole_number(double number);
/// UsageError, which begins with `where`, unless every number is finite and in its range.
void check_ranges(const std::vector<Field>& fields, const char* where);
template <HasFields S>
void check_ranges(S settings, const char* where) {
  check_ranges(fields_of(settings), where);
}

/// A struct `template <template <class> class Held> struct Fields { Held<int64_t> p; ... };` has two roles:
/// Fields<AsIs> is settings, each field an int64_t; Fields<std::optional> is changes of them, each field a
/// value or none. See AttentionFields.
template <class T>
using AsIs = T;
/// What a field begins with: `value` in settings, nothing in changes.
template <template <class> class Held, class T>
constexpr Held<T> initially(T value) {
  if constexpr (std::is_same_v<Held<T>, T>)
    return value;
  else
    return {};
}

/// Gives the fields of `settings` the values that changes of the same names have. An Error where there is no
/// such field.
template <HasFields Changes, HasFields S>
void apply_changes(Changes changes, S& settings) {
  changes.visit([&](const std::string& name, auto& change, const FieldInfo&) {
    if (!change) return;
    bool is_applied = false;
    settings.visit([&](const std::string& other, auto& field, const FieldInfo&) {
      if constexpr (std::is_same_v<std::remove_reference_t<decltype(field)>,
                                   typename std::remove_reference_t<decltype(change)>::value_type>) {
        if (name != other) return;
        field = *change;
        is_applied = true;
      }
    });
    check(is_applied, "settings: there is no field ", name, " to be changed");
  });
}

}  // namespace fovea
#pragma GCC visibility pop
