#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fovea {

/// What a file is by its first bytes, for messages: "a JPEG image", "a ZIP archive", "a text file"; "" where
/// they do not tell. kFileKindBytes of them are looked at.
std::string kind_of_file(std::string_view begin);
constexpr size_t kFileKindBytes = 64;

}  // namespace fovea
