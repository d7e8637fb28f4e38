#include "fovea/core/json_writer.h"

#include <nlohmann/json.hpp>

namespace fovea {

using Json = nlohmann::json;  // of single texts and numbers, which need no memory in the end

void JsonWriter::key(std::string_view name) {
  text(name);
  text_ += indent_ < 0 ? ":" : ": ";
  has_key_ = true;
}

void JsonWriter::text(std::string_view value) {
  before_value();
  text_ += Json(value).dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

void JsonWriter::integer(int64_t value) {
  before_value();
  text_ += std::to_string(value);
}

void JsonWriter::number(double value) {
  before_value();
  text_ += Json(value).dump();
}

void JsonWriter::boolean(bool value) {
  before_value();
  text_ += value ? "true" : "false";
}

void JsonWriter::null() {
  before_value();
  text_ += "null";
}

void JsonWriter::begin(char bracket) {
  before_value();
  text_ += bracket;
  ++level_;
  is_first_ = true;
}

void JsonWriter::end(char bracket) {
  --level_;
  if (!is_first_) new_line();
  text_ += bracket;
  is_first_ = false;
}

void JsonWriter::before_value() {
  if (!has_key_ && level_ > 0) {
    if (!is_first_) text_ += ',';
    new_line();
  }
  has_key_ = false;
  is_first_ = false;
}

void JsonWriter::new_line() {
  if (indent_ < 0) return;
  text_ += '\n';
  text_.append(static_cast<size_t>(indent_) * static_cast<size_t>(level_), ' ');
}

}  // namespace fovea
