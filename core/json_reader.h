#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace fovea {

/// Reads JSON in place, step by step, for formats that are known beforehand: no tree is built, and nothing
/// calls itself however deep a text nests.
class JsonReader {
 protected:
  explicit JsonReader(std::string_view text) : text_(text) {}
  virtual ~JsonReader() = default;

  /// Throws: what stands at `place_` is no JSON.
  [[noreturn]] virtual void fail_syntax() const = 0;
  /// Told how many bytes a text will take, before it is built; throws if that is too much.
  virtual void take(uint64_t bytes) = 0;

  /// The next character that is no space, which stays; '\0' at the end.
  char next();
  bool skip(char wanted);
  void expect(char wanted);

  /// After a '{': calls `member` with each key, before its value, and reads up to the '}'.
  template <class Member>
  void read_members(const Member& member) {
    if (skip('}')) return;
    do {
      next();
      std::string key = read_string();
      expect(':');
      member(std::move(key));
    } while (skip(','));
    expect('}');
  }

  /// From '"' to '"', the escapes decoded.
  std::string read_string();

  std::string_view text_;
  size_t place_ = 0;

 private:
  size_t decode(std::string* text);
  std::string read_escape();
  uint32_t read_code_unit();
};

}  // namespace fovea
