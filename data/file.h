#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fovea {

/// The bytes of a regular file of at most `max_bytes` bytes, whose size is looked at before memory is
/// taken. DataError begins with `operation`, names the file, and ends with `advice`: what to do next.
std::vector<std::byte> read_file(const std::string& operation, const std::string& path, size_t max_bytes,
                                 const std::string& advice);

}  // namespace fovea
