#pragma once

#include <memory>

#include "fovea/core/ranks.h"
#include "launch.h"

namespace fovea::cli {

/// The ranks of a run, where a launcher has started this process as one of several: on the CPU those of MPI,
/// on CUDA devices those of NCCL, one a device. Without MPI (torchrun, srun) there are those of NCCL alone.
/// When they go without an exception on its way, each waits for the others.
class StartedRanks {
 public:
  /// UsageError where several processes have been started, and this build has not what they need, or its
  /// module cannot be loaded.
  StartedRanks();

  /// Null if this process was started alone.
  Ranks* get() const { return devices_ != nullptr ? devices_.get() : host_.get(); }
  /// The device of this rank, where the settings say `device`: of CUDA devices each rank on a machine has
  /// another. UsageError where it cannot join the others, or several would share one that was named by
  /// number.
  Device device_of_rank(Device device, bool has_number) const;
  /// From here on they share tensors on that device. UsageError where NCCL's module cannot be loaded.
  void join(Device device);

 private:
  const Launch launch_ = launch_of_environment();
  std::unique_ptr<Ranks> host_, devices_;
};

}  // namespace fovea::cli
