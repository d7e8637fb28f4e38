#include <toml++/toml.h>
#include <fstream>
#include <sstream>

#include "fovea/core/check.h"
#include "settings.h"

namespace fovea::cli {
namespace {

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

}  // namespace

void apply_toml(Settings& settings, const std::string& text, const std::string& name) {
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    throw UsageError(str("settings: ", name, ":", error.source().begin.line, ": ", error.description()));
  }
  for (const auto& [key, node] : table) {
    const std::string line = str(name, ":", node.source().begin.line);
    const Setting& setting = find_setting(key.str(), line);
    const std::string where = line + ": " + setting.key;
    assign(settings, setting, value_of(node, where), where);
  }
}

void apply_toml_file(Settings& settings, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  check<UsageError>(file.good(), "settings: cannot read ", path, "; --config takes a TOML file");
  apply_toml(settings, text.str(), path);
}

}  // namespace fovea::cli
