#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands.h"
#include "fovea/core/device.h"
#include "fovea/core/device_dtype.h"
#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu_variant.h"
#include "output.h"

namespace fovea::cli {
namespace {

/// "avx2 (this processor can run sse2, avx2; FOVEA_CPU chooses)", where there is a choice.
std::string cpu_kernels() {
  const std::vector<std::string> usable = kernels::usable_cpu_variants();
  std::string text = kernels::cpu_variant();
  if (kernels::kCpuVariants > 1)
    text += fmt::format(" (this processor can run {}; FOVEA_CPU chooses)", fmt::join(usable, ", "));
  return text;
}

}  // namespace

int devices() {
  print("cpu     {} threads, precision f32 or bf16, kernels for {}\n", num_threads(), cpu_kernels());
  const CudaStatus status = cuda_status();
  for (int i = 0; i < status.device_count; ++i) {
    const Device device = Device::cuda(i);
    print("{}  {}, precision {}\n", device.str(), describe(device),
          has_bf16(device) ? "f32, tf32, bf16 or f16" : "f32 or f16");
  }
  if (status.device_count == 0) print("cuda    none: {}\n", status.reason);
  if (const std::string versions = cuda_versions(); !versions.empty()) print("{}\n", versions);
  return 0;
}

}  // namespace fovea::cli
