#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::cli {

/// A JSON object without others in it, as summary.json and a line of metrics.jsonl are: keys and values in
/// their order. A text is what it says, a number as it is written, and null is "".
using FlatJson = std::vector<std::pair<std::string, std::string>>;

/// What an object says; nothing where the text is no such object. No tree is built, so that nothing needs
/// memory in the end.
std::optional<FlatJson> read_flat_json(std::string_view text);
/// The value under a key; "" without one.
std::string value_of(const FlatJson& object, std::string_view key);
/// The same as a number; nothing for what is none, or not finite.
std::optional<double> number_of(const FlatJson& object, std::string_view key);

}  // namespace fovea::cli
