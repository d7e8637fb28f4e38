#include "fovea/core/json_reader.h"

#include <charconv>
#include <system_error>

#include "fovea/core/printable.h"

namespace fovea {
namespace {

std::string utf8_text(uint32_t code) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](int shift) { return byte(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xc0 | code >> 6), tail(0)};
  if (code < 0x10000) return {byte(0xe0 | code >> 12), tail(6), tail(0)};
  return {byte(0xf0 | code >> 18), tail(12), tail(6), tail(0)};
}

}  // namespace

/// The next character that is no space, which stays; '\0' at the end.
char JsonReader::next() {
  while (place_ < text_.size() && std::string_view(" \t\n\r").find(text_[place_]) != std::string_view::npos) {
    ++place_;
  }
  return place_ < text_.size() ? text_[place_] : '\0';
}
bool JsonReader::skip(char wanted) {
  if (next() != wanted || place_ == text_.size()) return false;
  ++place_;
  return true;
}
void JsonReader::expect(char wanted) {
  if (!skip(wanted)) fail_syntax();
}

/// From '"' to '"', the escapes decoded.
std::string JsonReader::read_string() {
  if (place_ == text_.size() || text_[place_] != '"') fail_syntax();
  ++place_;
  // Twice: the text has just its size then, and is counted before it is built.
  const size_t begin = place_;
  const size_t size = decode(nullptr);
  take(size);
  std::string text;
  text.reserve(size);
  place_ = begin;
  decode(&text);
  ++place_;
  return text;
}

/// Up to the '"'; how many bytes the text has.
size_t JsonReader::decode(std::string* text) {
  size_t size = 0;
  const auto append = [&](std::string_view part) {
    size += part.size();
    if (text != nullptr) *text += part;
  };
  while (true) {
    if (place_ == text_.size()) fail_syntax();
    const char c = text_[place_];
    if (c == '"') return size;
    if (c == '\\') {
      append(read_escape());
      continue;
    }
    const size_t length = static_cast<unsigned char>(c) < 0x20 ? 0 : utf8_length(text_.substr(place_));
    if (length == 0) fail_syntax();
    append(text_.substr(place_, length));
    place_ += length;
  }
}

std::string JsonReader::read_escape() {
  ++place_;
  if (place_ == text_.size()) fail_syntax();
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  const char letter = text_[place_];
  if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
    ++place_;
    return std::string(1, kMeanings[i]);
  }
  uint32_t code = read_code_unit();
  const bool is_first = code >= 0xd800 && code <= 0xdbff;
  if (is_first) {
    if (!text_.substr(place_).starts_with("\\u")) fail_syntax();
    ++place_;
    const uint32_t second = read_code_unit();
    if (second < 0xdc00 || second > 0xdfff) fail_syntax();
    code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
  } else if (code >= 0xdc00 && code <= 0xdfff) {
    fail_syntax();
  }
  return utf8_text(code);
}

/// The number after 'u'.
uint32_t JsonReader::read_code_unit() {
  if (text_[place_] != 'u') fail_syntax();
  const std::string_view digits = text_.substr(place_ + 1, 4);
  uint32_t code = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || result.ptr != digits.data() + 4) fail_syntax();
  place_ += 5;
  return code;
}

}  // namespace fovea
