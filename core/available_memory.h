#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fovea {

/// How many bytes this process can still take before the system ends it or refuses: the least of what the
/// kernel calls available, of what the limits of its control groups leave (`memory.max` of version 2,
/// `memory.limit_in_bytes` of version 1; files that are cached and idle count as free), and of the limit of
/// its address space (ulimit -v). Nothing where none of them can be read. `root`: the folder that stands for
/// "/".
std::optional<int64_t> available_memory(const std::string& root = "/");

}  // namespace fovea
