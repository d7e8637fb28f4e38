#pragma once

#include <memory>

#include "fovea/core/ranks.h"

namespace fovea::cli {

/// The ranks of a run, if mpirun has started this process as one of several; null if it was started alone.
/// When they go without an exception on its way, each waits for the others. UsageError where mpirun has
/// started several processes of a build without MPI, or whose module of MPI cannot be loaded, and for a
/// number of ranks that cannot share a batch.
std::unique_ptr<Ranks> start_ranks();

}  // namespace fovea::cli
