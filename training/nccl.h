#pragma once

#include <memory>
#include <string>

#include "fovea/core/ranks.h"

/// Ranks with a CUDA device each. In the library fovea::nccl, and not in fovea.h.
#pragma GCC visibility push(default)
namespace fovea {

/// This rank, its device, and how it finds the others.
struct NcclSettings {
  Device device;
  /// The same processes on the CPU, as mpi_ranks() gives them: they agree on the start, and tensors on the
  /// CPU travel through them. They must live as long as the result.
  Ranks* host = nullptr;
  /// Without them: this rank and the number of all, and a file that no other start has used, in a folder that
  /// all see: rank 0 leaves NCCL's identifier there until all have it. Tensors on the CPU travel by the
  /// devices then, and wait for them.
  int rank = 0, size = 1;
  std::string file{};
};

/// Ranks whose tensors on CUDA devices NCCL adds up and gathers, in order with Fovea's own work there, so
/// that it can be captured. The same bits for the same number of ranks, in the order that NCCL has for the
/// devices and how they are connected. Waits until all are there. UsageError for a device that is the CPU,
/// DeviceError where NCCL fails, or the file does not come within two minutes.
std::unique_ptr<Ranks> nccl_ranks(const NcclSettings& settings);

}  // namespace fovea
#pragma GCC visibility pop
