#include "fovea/core/printable.h"

#include <algorithm>
#include <cstdint>

namespace fovea {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

uint8_t byte_at(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

/// The code point of the UTF-8 character of `length` bytes, which is valid, at the begin of `text`.
uint32_t code_of(std::string_view text, size_t length) {
  if (length == 1) return byte_at(text, 0);
  uint32_t code = byte_at(text, 0) & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) code = code << 6 | (byte_at(text, i) & 0x3fu);
  return code;
}

/// What a terminal acts upon, or what makes a text look like another one.
bool is_command(uint32_t code) {
  const auto in = [&](uint32_t first, uint32_t last) { return code >= first && code <= last; };
  return in(0, 0x1f) || in(0x7f, 0x9f) || in(0x200b, 0x200f) || in(0x2028, 0x202e) || in(0x2060, 0x206f) ||
         code == 0xfeff || code == 0x61c;
}

void append_escape(std::string& result, std::string_view character, uint32_t code) {
  if (character.size() == 1) {
    result += {'\\', 'x', kDigits[code >> 4 & 15], kDigits[code & 15]};
    return;
  }
  result += "\\u{";
  for (int shift = 12; shift >= 0; shift -= 4) result += kDigits[code >> shift & 15];
  result += '}';
}

/// Up to `most` bytes of `text` and where it was left.
size_t append_printable(std::string& result, std::string_view text, size_t most, bool is_quoted) {
  size_t i = 0;
  while (i < text.size() && i < most) {
    const size_t length = utf8_length(text.substr(i));
    const std::string_view character = text.substr(i, std::max<size_t>(length, 1));
    const uint32_t code = length == 0 ? byte_at(text, i) : code_of(character, length);
    const bool is_layout = !is_quoted && (code == '\n' || code == '\t');
    if (length == 0 || (is_command(code) && !is_layout)) {
      append_escape(result, character, code);
    } else {
      if (is_quoted && (code == '"' || code == '\\')) result += '\\';
      result += character;
    }
    i += character.size();
  }
  return i;
}

std::string note_of_cut(std::string_view text) {
  return "... (" + std::to_string(text.size()) + " bytes)";
}

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  }
  const uint32_t code = code_of(text, length);
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // of each length
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  return code >= kLeast[length] && code <= 0x10ffff && !is_surrogate ? length : 0;
}

std::string printable(std::string_view text, size_t most) {
  std::string result;
  const size_t end = append_printable(result, text, most, /*is_quoted=*/false);
  if (end < text.size()) result += note_of_cut(text);
  return result;
}

std::string in_quotes(std::string_view text, size_t most) {
  std::string result = "\"";
  const size_t end = append_printable(result, text, most, /*is_quoted=*/true);
  result += '"';
  if (end < text.size()) result += note_of_cut(text);
  return result;
}

}  // namespace fovea
