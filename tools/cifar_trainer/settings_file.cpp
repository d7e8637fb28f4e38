#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "settings.h"

namespace fovea::cli {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;  // of a settings file

Value value_of(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* array = node.as_array()) {
    std::vector<double> numbers;
    for (const toml::node& element : *array) {
      const auto number = element.value<double>();
      check<UsageError>(element.is_number() && number.has_value(), "settings: ", where,
                        " is a list with something else than numbers");
      numbers.push_back(*number);
    }
    return numbers;
  }
  throw UsageError(
      str("settings: ", where, " is neither text, number, true, false nor a list; settings have no tables"));
}

// Goes over TOML as far as is needed to know what is a text or a comment.
class Outline {
 public:
  explicit Outline(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) place_ = 3;  // the mark that some editors put first
  }

  // The place of the next byte that is neither in a text nor in a comment; nothing at the end.
  std::optional<size_t> next() {
    while (place_ < text_.size()) {
      const char c = text_[place_];
      if (c == '#') {
        place_ = std::min(text_.find('\n', place_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_text(c);
      } else {
        return place_++;
      }
    }
    return std::nullopt;
  }

 private:
  bool has_three(char quote) const { return text_.substr(place_).starts_with(std::string(3, quote)); }

  // A text of one line ends with its line, too: whatever follows it then, the parser stops there.
  void skip_text(char quote) {
    const bool is_long = has_three(quote);
    place_ += is_long ? 3 : 1;
    for (; place_ < text_.size(); ++place_) {
      const char c = text_[place_];
      if (is_long ? has_three(quote) : c == quote || c == '\n') break;
      const bool is_escape = c == '\\' && quote == '"' && place_ + 1 < text_.size();
      if (is_escape && (is_long || text_[place_ + 1] != '\n')) ++place_;
    }
    // Up to two more belong to a long one.
    for (int i = 0; i < (is_long ? 5 : 1) && place_ < text_.size() && text_[place_] == quote; ++i) ++place_;
  }

  std::string_view text_;
  size_t place_ = 0;
};

// TOML has letters of ASCII only outside of texts and comments, and toml++ 3.3 reads beyond its tables where
// a value begins with one of some others.
void check_ascii(const std::string& text, const std::string& name) {
  const std::string_view all = text;
  Outline outline(all);
  while (const auto place = outline.next()) {
    if (static_cast<unsigned char>(all[*place]) < 0x80) continue;
    const std::string_view before = all.substr(0, *place), rest = all.substr(*place);
    const std::string_view line = before.substr(before.rfind('\n') + 1);  // from the begin, if there is none
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
    throw UnreadableSettings(str("settings: ", name, ":", 1 + std::count(before.begin(), before.end(), '\n'),
                                 ": column ", 1 + std::count_if(line.begin(), line.end(), begins), ": found ",
                                 in_quotes(rest.substr(0, std::max<size_t>(utf8_length(rest), 1))),
                                 " outside of quotation marks and comments, wanted ASCII there"));
  }
}

}  // namespace

void apply_toml(Settings& settings, const std::string& text, const std::string& name) {
  check_ascii(text, name);
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    throw UnreadableSettings(
        str("settings: ", name, ":", error.source().begin.line, ": ", error.description()));
  }
  for (const auto& [key, node] : table) {
    const std::string line = str(name, ":", node.source().begin.line);
    const Setting& setting = find_setting(std::string(key.str()), line);
    const std::string where = line + ": " + setting.key;
    assign(settings, setting, value_of(node, where), where);
  }
}

void apply_toml_file(Settings& settings, const std::string& path) {
  const ReadableFile file(path, "settings", [](const std::string& message) {
    throw UnreadableSettings(message + "; --config takes a TOML file");
  });
  check<UnreadableSettings>(file.size() <= kMaxBytes, "settings: ", path, " has ", file.size(),
                            " bytes, at most ", kMaxBytes, " are allowed; --config takes a TOML file");
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.read(0, text.data(), text.size());
  apply_toml(settings, text, path);
}

}  // namespace fovea::cli
