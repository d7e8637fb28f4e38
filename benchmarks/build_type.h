#pragma once

#include <cstdio>

namespace fovea::bench {

/// Why times of this build are not Fovea's, in words that follow "Fovea was built "; null for one that is to
/// be timed. The library is built with the flags of its benchmarks.
constexpr const char* why_slow() {
#if !defined(__OPTIMIZE__)
  return "without optimisation";
#elif defined(FOVEA_SANITIZED)
  return "with a sanitizer";
#elif !defined(NDEBUG)
  return "with assertions (without NDEBUG)";
#else
  return nullptr;
#endif
}

/// Says so on standard error.
inline void warn_of_slow_build() {
  if (why_slow() == nullptr) return;
  std::fprintf(
      stderr,
      "***WARNING*** Fovea was built %s: these times are not Fovea's; measure the preset cpu or cuda\n",
      why_slow());
}

}  // namespace fovea::bench
