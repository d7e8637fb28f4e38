#pragma once

#include <cstdlib>
#include <string>

namespace fovea {

/// The value of an environment variable; "" if it is not set. The one way to read one; docs/environment.md
/// lists all.
inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace fovea
