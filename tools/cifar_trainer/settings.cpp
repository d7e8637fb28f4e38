#include "settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/core/nearest.h"
#include "fovea/core/printable.h"
#include "fovea/training/schedule.h"

namespace fovea::cli {
namespace {

template <class... Bodies>
struct Overloaded : Bodies... {
  using Bodies::operator()...;
};
template <class... Bodies>
Overloaded(Bodies...) -> Overloaded<Bodies...>;

// Where a field lives says what type it has, with or without "not set".
enum class Kind { text, integer, number, flag, numbers };

Kind kind_of(const Setting& setting) {
  return std::visit(Overloaded{[](std::string Settings::*) { return Kind::text; },
                               [](int64_t Settings::*) { return Kind::integer; },
                               [](std::optional<int64_t> Settings::*) { return Kind::integer; },
                               [](double Settings::*) { return Kind::number; },
                               [](std::optional<double> Settings::*) { return Kind::number; },
                               [](bool Settings::*) { return Kind::flag; },
                               [](std::optional<bool> Settings::*) { return Kind::flag; },
                               [](std::vector<double> Settings::*) { return Kind::numbers; }},
                    setting.field);
}

// Shortest text that reads back to the same double.
std::string number_text(double value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, value);
  return {text, result.ptr};
}

std::string quoted(const std::string& text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += std::string("\\") + c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string text_of(const Value& value) {
  return std::visit(Overloaded{[](const std::string& text) { return quoted(text); },
                               [](int64_t number) { return std::to_string(number); },
                               [](double number) { return number_text(number); },
                               [](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](const std::vector<double>& numbers) {
                                 std::string list;
                                 for (const double n : numbers)
                                   list += (list.empty() ? "" : ", ") + number_text(n);
                                 return "[" + list + "]";
                               }},
                    value);
}

std::string wanted(const Setting& setting) {
  std::string range;
  if (std::isfinite(setting.most)) {
    range = " from " + number_text(setting.least) + " to " + number_text(setting.most);
  } else if (std::isfinite(setting.least)) {
    range = " of at least " + number_text(setting.least);
  }
  switch (kind_of(setting)) {
    case Kind::integer: return "a whole number" + range;
    case Kind::number: return "a number" + range;
    case Kind::flag: return "true or false";
    case Kind::numbers: return "a list of numbers such as [64000, 96000]";
    case Kind::text: break;
  }
  if (setting.choices.empty()) return "a text";
  std::string list = "one of ";
  for (size_t i = 0; i < setting.choices.size(); ++i) list += (i > 0 ? ", " : "") + setting.choices[i];
  return list;
}

// As a file has it: where no number with a fraction is wanted, 1.0 is not 1.
std::string found_text(const Setting& setting, const Value& value) {
  const std::string text = text_of(value);
  return kind_of(setting) != Kind::number && std::holds_alternative<double>(value) &&
                 text.find_first_not_of("-0123456789") == std::string::npos
             ? text + ".0"
             : text;
}

[[noreturn]] void refuse(const Setting& setting, const Value& found, const std::string& where) {
  const auto* text = std::get_if<std::string>(&found);
  constexpr size_t kMostBytes = 200;  // of what is shown
  throw UsageError(str("settings: ", where, " is ",
                       text != nullptr ? in_quotes(*text) : printable(found_text(setting, found), kMostBytes),
                       ", wanted ", wanted(setting),
                       text != nullptr ? suggestion(*text, setting.choices) : ""));
}

bool fits(const Setting& setting, const Value& value) {
  const auto is_in_range = [&](double number) {
    return std::isfinite(number) && number >= setting.least && number <= setting.most;
  };
  const auto is_choice = [&](const std::string& text) {
    const auto& choices = setting.choices;
    return choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end();
  };
  const Kind kind = kind_of(setting);
  return std::visit(
      Overloaded{
          [&](const std::string& text) { return kind == Kind::text && is_choice(text); },
          [&](int64_t number) { return kind == Kind::integer && is_in_range(static_cast<double>(number)); },
          [&](double number) { return kind == Kind::number && is_in_range(number); },
          [&](bool) { return kind == Kind::flag; },
          [&](const std::vector<double>& list) {
            return kind == Kind::numbers && std::all_of(list.begin(), list.end(), is_in_range);
          }},
      value);
}

// All of `text` as a number of type T.
template <class T>
std::optional<T> parse(const std::string& text) {
  T number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// "64000,96000", with or without brackets and spaces.
std::optional<std::vector<double>> parse_numbers(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '[' || c == ']'; });
  std::vector<double> numbers;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto number = parse<double>(text.substr(begin, end - begin));
    if (!number) return std::nullopt;
    numbers.push_back(*number);
    begin = end + 1;
  }
  return numbers;
}

// A number such as 1.0 or 1e3 as the whole number that it is.
std::optional<int64_t> whole_number(double number) {
  constexpr double kExact = 9007199254740992;  // 2^53: from there on a double does not tell its neighbours
  if (!(std::abs(number) < kExact) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

// The value of a setting, or nothing where it is left to the model.
std::optional<Value> value_of(const Settings& settings, const Setting& setting) {
  return std::visit(
      [&](auto field) -> std::optional<Value> {
        const auto& held = settings.*field;
        if constexpr (requires { held.has_value(); }) {
          return held ? std::optional<Value>(*held) : std::nullopt;
        } else {
          return Value(held);
        }
      },
      setting.field);
}

}  // namespace

bool Setting::is_flag() const {
  return kind_of(*this) == Kind::flag;
}

const char* Setting::placeholder() const {
  switch (kind_of(*this)) {
    case Kind::integer: return "N";
    case Kind::number: return "X";
    case Kind::numbers: return "LIST";
    default: return "TEXT";
  }
}

const Setting& find_setting(std::string_view key, std::string_view where) {
  std::vector<std::string> keys;
  for (const Setting& setting : setting_table()) {
    if (setting.key == key) return setting;
    keys.push_back(setting.key);
  }
  throw UsageError(
      str("settings: ", where, ": there is no setting ", in_quotes(key), suggestion(std::string(key), keys)));
}

void assign(Settings& settings, const Setting& setting, const Value& value, const std::string& where) {
  const auto* whole = std::get_if<int64_t>(&value);
  std::optional<Value> converted;  // to the kind of number that the setting is
  if (kind_of(setting) == Kind::number && whole != nullptr) converted = static_cast<double>(*whole);
  if (const auto* number = std::get_if<double>(&value);
      kind_of(setting) == Kind::integer && number != nullptr) {
    if (const auto exact = whole_number(*number)) converted = *exact;
  }
  // No copy of the whole: where a copy of a text in a variant has no memory, the code of GCC 12 crashes.
  const Value& fitting = converted ? *converted : value;
  if (!fits(setting, fitting)) refuse(setting, value, where);
  std::visit(
      [&](auto field) {
        auto& held = settings.*field;
        using Held = std::remove_reference_t<decltype(held)>;
        if constexpr (requires {
                        typename Held::value_type;
                        held.has_value();
                      }) {
          held = std::get<typename Held::value_type>(fitting);
        } else {
          held = std::get<Held>(fitting);
        }
      },
      setting.field);
}

Value parse_value(const Setting& setting, const std::string& text, const std::string& where) {
  std::optional<Value> value;
  switch (kind_of(setting)) {
    case Kind::text: value = std::string(text); break;  // copied outside, where that may fail
    case Kind::integer:
      if (const auto number = parse<int64_t>(text)) {
        value = *number;
      } else if (const auto fraction = parse<double>(text); fraction && whole_number(*fraction)) {
        value = *whole_number(*fraction);
      }
      break;
    case Kind::number:
      if (const auto number = parse<double>(text)) value = *number;
      break;
    case Kind::flag:
      if (text == "true" || text == "false") value = text == "true";
      break;
    case Kind::numbers:
      if (auto numbers = parse_numbers(text)) value = std::move(*numbers);
      break;
  }
  if (!value) refuse(setting, text, where);
  return std::move(*value);  // a copy needs memory
}

std::string value_text(const Settings& settings, const Setting& setting) {
  const auto value = value_of(settings, setting);
  return value ? text_of(*value) : "the model's own";
}

void apply_overrides(Settings& settings, const Overrides& overrides) {
  for (const auto& [key, text] : overrides) {
    const Setting& setting = find_setting(key, "command line");
    assign(settings, setting, parse_value(setting, text, "--" + key), "--" + key);
  }
}

std::string to_toml(const Settings& settings, Selection selection) {
  std::string text, group;
  for (const Setting& setting : setting_table()) {
    const auto value = value_of(settings, setting);
    const bool is_selected = selection == Selection::all       ? setting.key != "out"
                             : selection == Selection::shaping ? setting.shapes_result
                                                               : setting.group == kNetworkGroup;
    if (!is_selected || !value || *value == Value("") || *value == Value(std::vector<double>())) continue;
    if (setting.group != group) text += (group.empty() ? "# " : "\n# ") + setting.group + "\n";
    group = setting.group;
    text += setting.key + " = " + text_of(*value) + "\n";
  }
  return text;
}

void resolve(Settings& settings) {
  if (!settings.warm_up) settings.warm_up = settings.schedule == "one-cycle" ? 0.25 : 0.0;
  if (settings.out.empty()) settings.out = "runs/" + settings.model + "-" + settings.dataset;
}

void check_consistent(const Settings& settings) {
  const bool has_milestones = !settings.milestones.empty();
  check<UsageError>(has_milestones == (settings.schedule == "steps"), "settings: the schedule ",
                    settings.schedule, " with ", settings.milestones.size(),
                    " milestones; wanted milestones for the schedule steps, and for no other");
  check_milestones(settings.milestones);
  check<UsageError>(settings.epochs > 0 || settings.max_steps > 0,
                    "settings: epochs and max-steps are both 0, so the run has no end; set one of them");
}

bool length_shapes_result(const Settings& settings) {
  const auto follows_length = [](double position) { return position > 0 && position < 1; };
  return settings.schedule == "one-cycle" || settings.schedule == "cosine" ||
         follows_length(settings.warm_up.value_or(0)) ||
         std::any_of(settings.milestones.begin(), settings.milestones.end(), follows_length);
}

void check_resumable(const Settings& saved, const Settings& wanted, const std::string& file) {
  const bool length_shapes = length_shapes_result(saved);
  for (const Setting& setting : setting_table()) {
    // The learning rate follows the epochs, or, where there are none, max-steps.
    const bool is_length = setting.key == "epochs" || setting.key == "max-steps";
    const bool is_mere_end =
        is_length && (!length_shapes || (setting.key == "max-steps" && saved.epochs > 0));
    if (!setting.shapes_result || is_mere_end) continue;
    if (value_of(saved, setting) == value_of(wanted, setting)) continue;
    const std::string difference = str(setting.key, " is ", value_text(wanted, setting),
                                       ", but the run to be continued has ", value_text(saved, setting));
    check<UsageError>(file.empty(), "resume: ", file, ": ", difference,
                      ", which shapes its result; set it back there (or delete the file: the checkpoint has "
                      "all that shapes the result), or begin another run with --config ",
                      file, " and --out");
    throw UsageError(str("resume: ", difference, "; leave --", setting.key,
                         " out, or start another run with --out",
                         is_length ? ", from the weights of this one with --init" : ""));
  }
}

}  // namespace fovea::cli
