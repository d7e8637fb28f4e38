#pragma once

#include <charconv>
#include <string>

namespace fovea {

/// The shortest text that is read back as the same number.
template <class Number>
std::string number_text(Number number) {
  char buffer[64];
  const std::to_chars_result result = std::to_chars(buffer, buffer + sizeof(buffer), number);
  return {buffer, result.ptr};
}

}  // namespace fovea
