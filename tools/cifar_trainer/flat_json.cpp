#include "flat_json.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace fovea::cli {
namespace {

/// Takes the values of one object as they come.
struct FlatReader : nlohmann::json_sax<nlohmann::json> {
  bool null() override { return take(""); }
  bool boolean(bool value) override { return take(value ? "true" : "false"); }
  bool number_integer(int64_t value) override { return take(std::to_string(value)); }
  bool number_unsigned(uint64_t value) override { return take(std::to_string(value)); }
  bool number_float(double, const std::string& text) override { return take(text); }
  bool string(std::string& text) override { return take(text); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool key(std::string& name) override {
    last_key = name;
    return true;
  }
  bool start_object(size_t) override { return ++depth == 1; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  bool take(const std::string& value) {
    if (depth == 1) object.emplace_back(last_key, value);
    return depth == 1;
  }

  int depth = 0;
  std::string last_key;
  FlatJson object;
};

}  // namespace

std::optional<FlatJson> read_flat_json(std::string_view text) {
  FlatReader reader;
  if (!nlohmann::json::sax_parse(text, &reader)) return std::nullopt;
  return std::move(reader.object);
}

std::string value_of(const FlatJson& object, std::string_view key) {
  for (const auto& [name, value] : object) {
    if (name == key) return value;
  }
  return "";
}

std::optional<double> number_of(const FlatJson& object, std::string_view key) {
  const std::string text = value_of(object, key);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size() && std::isfinite(number);
  return is_number ? std::optional(number) : std::nullopt;
}

}  // namespace fovea::cli
