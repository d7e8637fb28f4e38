#include "build_context.h"

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

#include "build_commit.h"
#include "fovea/config.h"
#include "fovea/core/device.h"

namespace fovea::bench {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;  // begins with "Clang" or its maker's name for it
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

/// The processor's name, as Linux has it; "" where it does not say.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

void add_build_context() {
  benchmark::AddCustomContext("fovea_version", FOVEA_VERSION);
  benchmark::AddCustomContext("fovea_commit", FOVEA_COMMIT);
  benchmark::AddCustomContext("compiler", kCompiler);
  benchmark::AddCustomContext("flags", FOVEA_FLAGS);
  if (const std::string name = processor(); !name.empty()) benchmark::AddCustomContext("processor", name);
  if (const std::string cuda = cuda_versions(); !cuda.empty()) benchmark::AddCustomContext("cuda", cuda);
}

}  // namespace fovea::bench
