#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace fovea {

/// The bytes of a regular file of at most `max_bytes` bytes, whose size is looked at before memory is
/// taken. DataError begins with `operation`, names the file, and ends with `advice`: what to do next.
std::vector<std::byte> read_file(const std::string& operation, const std::string& path, size_t max_bytes,
                                 const std::string& advice);

/// Whether a folder holds any of these files. A folder of such a name is none.
bool holds_any(const std::filesystem::path& folder, const std::vector<std::string>& files);

}  // namespace fovea
