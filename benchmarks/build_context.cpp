#include "build_context.h"

#include <benchmark/benchmark.h>

#include <string>

#include "build_commit.h"
#include "fovea/config.h"
#include "fovea/core/device.h"
#include "fovea/core/processor.h"

namespace fovea::bench {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;  // begins with "Clang" or its maker's name for it
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

void add_build_context() {
  benchmark::AddCustomContext("fovea_version", FOVEA_VERSION);
  benchmark::AddCustomContext("fovea_commit", FOVEA_COMMIT);
  benchmark::AddCustomContext("compiler", kCompiler);
  benchmark::AddCustomContext("flags", FOVEA_FLAGS);
  if (const std::string name = processor_name(Device::cpu()); !name.empty())
    benchmark::AddCustomContext("processor", name);
  if (const std::string cuda = cuda_versions(); !cuda.empty()) benchmark::AddCustomContext("cuda", cuda);
}

}  // namespace fovea::bench
