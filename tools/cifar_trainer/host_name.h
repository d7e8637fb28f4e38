#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace fovea::cli {

/// The name of this machine; "localhost" where it has none.
inline std::string host_name() {
  std::array<char, 256> name{};
  const bool has_name = gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0';
  return has_name ? name.data() : "localhost";
}

}  // namespace fovea::cli
