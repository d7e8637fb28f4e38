#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fovea {

/// Writes JSON from its beginning to its end. Nothing in it asks for memory while it is destroyed, as the
/// objects of a JSON library do: where there is none that ends the program.
class JsonWriter {
 public:
  /// Everything in one line, or each entry on a line of its own, `indent` blanks a level.
  explicit JsonWriter(int indent = -1) : indent_(indent) {}

  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  /// The key of the object's next value.
  void key(std::string_view name);

  /// What is not UTF-8 becomes U+FFFD.
  void text(std::string_view value);
  void integer(int64_t value);
  /// With as many digits as tell it from all others; null if it is not finite.
  void number(double value);
  void boolean(bool value);
  void null();

  const std::string& str() const { return text_; }

 private:
  void begin(char bracket);
  void end(char bracket);
  void before_value();
  void new_line();

  std::string text_;
  int indent_;
  int level_ = 0;
  bool is_first_ = true;  // of what is open
  bool has_key_ = false;
};

}  // namespace fovea
