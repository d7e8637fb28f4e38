#pragma once

#include <functional>
#include <memory>

#include "fovea/core/ranks.h"

/// Ranks that a launcher of MPI has started. In the library fovea::mpi, and not in fovea.h.
#pragma GCC visibility push(default)
namespace fovea {

/// Called with the number of a rank of which nothing was heard for so many seconds, and the number of all.
using RankReport = std::function<void(int rank, int size, int seconds)>;

/// The processes of MPI_COMM_WORLD on the CPU: mpirun -n 4 PROGRAM makes four, PROGRAM alone one. Initialises
/// MPI, and finalises it when the result goes, where each waits for the others, unless an exception is on its
/// way. For TrainingSettings::ranks.
///
/// A rank of which nothing was heard for 8 seconds (stopped, or on a machine that is gone) ends all processes
/// with exit code 4; the others would wait for it for ever. Before that `report` is called, from a thread of
/// its own; without one a line on standard error names the rank.
///
/// DeviceError if a call of MPI fails, UsageError for a tensor on another device.
std::unique_ptr<Ranks> mpi_ranks(RankReport report = {});

}  // namespace fovea
#pragma GCC visibility pop
