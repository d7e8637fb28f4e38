#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fovea::cli {

/// A text that comes from a file or a setting, for the inside of an element or of an attribute in quotation
/// marks: `printable`, with the characters that HTML has a meaning for as entities.
std::string escaped(std::string_view text);

/// The bytes of a PNG file as an address: data:image/png;base64,...
std::string data_address(std::string_view png);

/// 1,030,362
std::string grouped(int64_t number);
/// 0.8835 -> 88.35%
std::string percent(double share);

}  // namespace fovea::cli
