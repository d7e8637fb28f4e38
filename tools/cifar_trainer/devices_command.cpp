#include <string>

#include "commands.h"
#include "fovea/core/device.h"
#include "fovea/core/parallel_for.h"
#include "output.h"

namespace fovea::cli {

int devices() {
  print("cpu     {} threads, precision f32 or bf16\n", num_threads());
  const CudaStatus status = cuda_status();
  for (int i = 0; i < status.device_count; ++i) {
    print("{}  {}, precision f32, tf32, bf16 or f16\n", Device::cuda(i).str(), describe(Device::cuda(i)));
  }
  if (status.device_count == 0) print("cuda    none: {}\n", status.reason);
  if (const std::string versions = cuda_versions(); !versions.empty()) print("{}\n", versions);
  return 0;
}

}  // namespace fovea::cli
