#include "fovea/core/settings_fields.h"

#include <algorithm>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/core/number_text.h"
#include "fovea/core/suggestion.h"

namespace fovea {
namespace {

template <class... Bodies>
struct Overloaded : Bodies... {
  using Bodies::operator()...;
};
template <class... Bodies>
Overloaded(Bodies...) -> Overloaded<Bodies...>;

std::string range_text(const FieldInfo& info) {
  const auto text = [](double end) {  // 65536 and 1000000, not 1e+06
    const auto whole = whole_number(end);
    return whole ? std::to_string(*whole) : number_text(end);
  };
  const std::string least = text(info.least), most = text(info.most);
  if (!std::isfinite(info.most)) return (info.above_least ? " above " : " of at least ") + least;
  if (info.above_least) return " above " + least + " and " + (info.below_most ? "below " : "up to ") + most;
  return " from " + least + " to " + (info.below_most ? "below " : "") + most;
}

bool is_in_range(double number, const FieldInfo& info) {
  return std::isfinite(number) && (info.above_least ? number > info.least : number >= info.least) &&
         (info.below_most ? number < info.most : number <= info.most);
}

bool fits(const Field& field, const FieldValue& value) {
  const std::vector<std::string>& choices = field.info.choices;
  const auto is_good = [&](double number) { return is_in_range(number, field.info); };
  return std::visit(
      Overloaded{[&](const std::string& text) {
                   return field.kind == FieldKind::text &&
                          (choices.empty() ||
                           std::find(choices.begin(), choices.end(), text) != choices.end());
                 },
                 [&](double number) { return field.kind == FieldKind::number && is_good(number); },
                 [&](bool) { return field.kind == FieldKind::flag; },
                 [&](const std::vector<double>& list) {
                   return field.kind == FieldKind::numbers && std::all_of(list.begin(), list.end(), is_good);
                 },
                 [&](auto whole) {
                   return field.kind == FieldKind::integer && is_good(static_cast<double>(whole));
                 }},
      value);
}

/// As a file has it: where no number with a fraction is wanted, 1.0 is not 1.
std::string found_text(const Field& field, const FieldValue& value) {
  std::string text = field_text(value);
  if (std::holds_alternative<std::vector<double>>(value)) return "[" + text + "]";
  const bool looks_whole = text.find_first_not_of("-0123456789") == std::string::npos;
  return field.kind != FieldKind::number && std::holds_alternative<double>(value) && looks_whole ? text + ".0"
                                                                                                 : text;
}

[[noreturn]] void refuse(const Field& field, const FieldValue& found, const std::string& where) {
  constexpr size_t kMostBytes = 200;  // of what is shown
  const auto* text = std::get_if<std::string>(&found);
  throw UsageError(
      str(where, " is ", text != nullptr ? in_quotes(*text) : printable(found_text(field, found), kMostBytes),
          ", wanted ", field.wanted(), text != nullptr ? suggestion(*text, field.info.choices) : ""));
}

}  // namespace

std::string Field::default_flag() const {
  std::string flag = path.substr(path.rfind('.') + 1);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string field_text(const FieldValue& value) {
  return std::visit(Overloaded{[](const std::string& text) { return text; },
                               [](double number) { return number_text(number); },
                               [](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](const std::vector<double>& numbers) {
                                 std::string list;
                                 for (const double number : numbers)
                                   list += (list.empty() ? "" : ", ") + number_text(number);
                                 return list;
                               },
                               [](auto whole) { return std::to_string(whole); }},
                    value);
}

std::string Field::wanted() const {
  switch (kind) {
    case FieldKind::integer: return "a whole number" + range_text(info);
    case FieldKind::number: return "a number" + range_text(info);
    case FieldKind::flag: return "true or false";
    case FieldKind::numbers: return "a list of numbers, each" + range_text(info);
    case FieldKind::text: break;
  }
  return info.choices.empty() ? "a text" : "one of " + joined(info.choices);
}

std::optional<int64_t> whole_number(double number) {
  constexpr double kExact = 9007199254740992;  // 2^53: from there on a double does not tell its neighbours
  if (!(std::abs(number) < kExact) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

void Field::assign(const FieldValue& new_value, const std::string& where) const {
  std::optional<FieldValue> converted;  // to the kind of number that the field is
  if (const auto* whole = std::get_if<int64_t>(&new_value); kind == FieldKind::number && whole != nullptr) {
    converted = static_cast<double>(*whole);
  }
  if (const auto* number = std::get_if<double>(&new_value); kind == FieldKind::integer && number != nullptr) {
    if (const auto exact = whole_number(*number)) converted = *exact;
  }
  // No copy of the whole: where a copy of a text in a variant has no memory, the code of GCC 12 crashes.
  const FieldValue& fitting = converted ? *converted : new_value;
  if (!fits(*this, fitting)) refuse(*this, new_value, where);
  set(fitting);
}

void check_ranges(const std::vector<Field>& fields, const char* where) {
  for (const Field& field : fields) {
    if (field.kind == FieldKind::flag || field.kind == FieldKind::text) continue;
    const std::optional<FieldValue> value = field.value();
    if (value && !fits(field, *value)) refuse(field, *value, str(where, ": ", field.path));
  }
}

}  // namespace fovea
