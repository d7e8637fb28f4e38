#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "fovea/core/atomic_file.h"
#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "settings.h"

namespace fovea::cli {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;  // of a settings file

FieldValue value_of(const toml::node& node, const std::string& where) {
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

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

// Goes over TOML as far as is needed to know what is a text or a comment.
class Outline {
 public:
  explicit Outline(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) place_ = word_begin_ = 3;  // the mark that some editors put first
  }

  // The place of the next byte that is neither in a text nor in a comment, or that is no ASCII and follows a
  // backslash in a text of several lines; nothing at the end.
  std::optional<size_t> next() {
    while (place_ < text_.size()) {
      const char c = text_[place_];
      if (c == '#') {
        place_ = std::min(text_.find('\n', place_), text_.size());
      } else if ((c == '"' || c == '\'') && can_begin_text()) {
        skip_text(c);
        if (after_backslash_) return after_backslash_;
      } else {
        note(c);
        return place_++;
      }
    }
    return std::nullopt;
  }

  // Whether that byte is one after a backslash.
  bool is_after_backslash() const { return after_backslash_.has_value(); }

 private:
  bool has_three(char quote) const { return text_.substr(place_).starts_with(std::string(3, quote)); }

  // A mark that follows other letters immediately begins no text: toml++ takes all of them for one value.
  // Only the equals sign of a key may stand there.
  bool can_begin_text() const {
    const std::string_view word = text_.substr(word_begin_, place_ - word_begin_);
    if (word.empty() || word == "=") return true;
    constexpr size_t kLongestKey = 64;
    return is_first_ && depth_ == 0 && word.size() <= kLongestKey &&
           word.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == word.size() - 1 && word.back() == '=';
  }

  void note(char c) {
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    const bool is_space = c == ' ' || c == '\t' || c == '\r';
    if (!is_space && c != '\n' && c != ',' && c != '[' && c != '{') return;
    is_first_ = c == '\n' || (is_space && is_first_ && word_begin_ == place_);
    word_begin_ = place_ + 1;
  }

  // A text of one line ends with its line, too: whatever follows it then, the parser stops there.
  void skip_text(char quote) {
    const bool is_long = has_three(quote);
    place_ += is_long ? 3 : 1;
    for (; place_ < text_.size(); ++place_) {
      const char c = text_[place_];
      if (is_long ? has_three(quote) : c == quote || c == '\n') break;
      const bool is_escape = c == '\\' && quote == '"' && place_ + 1 < text_.size();
      if (is_escape && is_long) note_letter_after_backslash();
      if (is_escape && (is_long || text_[place_ + 1] != '\n')) ++place_;
    }
    // Up to two more belong to a long one.
    for (int i = 0; i < (is_long ? 5 : 1) && place_ < text_.size() && text_[place_] == quote; ++i) ++place_;
  }

  // toml++ asks whether the letter behind a backslash and white space is white space, too.
  void note_letter_after_backslash() {
    const size_t letter = text_.find_first_not_of(" \t\n\v\f\r", place_ + 1);
    if (letter != std::string_view::npos && !is_ascii(text_[letter]) && !after_backslash_)
      after_backslash_ = letter;
  }

  std::string_view text_;
  size_t place_ = 0;
  std::optional<size_t> after_backslash_;
  size_t word_begin_ = 0;  // of the letters that stand together
  bool is_first_ = true;   // whether they are the first of their line
  int64_t depth_ = 0;      // of brackets
};

// TOML has letters of ASCII only outside of texts and comments, and toml++ 3.3 reads beyond its tables where
// a value begins with one of some others, or one follows a backslash in a text of several lines.
void check_ascii(const std::string& text, const std::string& name) {
  const std::string_view all = text;
  Outline outline(all);
  while (const auto place = outline.next()) {
    if (is_ascii(all[*place])) continue;
    const std::string_view before = all.substr(0, *place), rest = all.substr(*place);
    const std::string_view line = before.substr(before.rfind('\n') + 1);  // from the begin, if there is none
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
    throw UnreadableSettings(str("settings: ", name, ":", 1 + std::count(before.begin(), before.end(), '\n'),
                                 ": column ", 1 + std::count_if(line.begin(), line.end(), begins), ": found ",
                                 in_quotes(rest.substr(0, std::max<size_t>(utf8_length(rest), 1))),
                                 outline.is_after_backslash()
                                     ? " after a backslash in a text of several lines, wanted ASCII there; "
                                       "write the text on one line"
                                     : " outside of quotation marks and comments, wanted ASCII there"));
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
  const std::vector<Setting> list = list_settings(settings);
  for (const auto& [key, node] : table) {
    const std::string line = str(name, ":", node.source().begin.line);
    const Setting& setting = find_setting(list, key.str(), line);
    const std::string where = line + ": " + setting.key;
    setting.field.assign(value_of(node, where), "settings: " + where);
  }
}

void apply_toml_file(Settings& settings, const std::string& path) {
  std::error_code ignored;
  check<UnreadableSettings>(!std::filesystem::is_directory(path, ignored), "settings: ", path,
                            " is a folder, wanted a TOML file, such as the settings.toml of a run");
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
