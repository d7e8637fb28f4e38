#pragma once

#include <memory>

#include "fovea/core/ranks.h"

namespace fovea::cli {

/// The ranks of a run, if mpirun has started this process as one of several; null if it was started alone.
/// When they go without an exception on its way, each waits for the others. UsageError in a build without MPI
/// that mpirun has started several times, and for a number of ranks that cannot share a batch.
std::unique_ptr<Ranks> start_ranks();

}  // namespace fovea::cli
