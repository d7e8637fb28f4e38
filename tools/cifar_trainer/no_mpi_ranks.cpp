#include "fovea/core/check.h"
#include "mpi_environment.h"
#include "mpi_ranks.h"

namespace fovea::cli {

std::unique_ptr<Ranks> start_ranks() {
  check<UsageError>(launched_ranks() < 2, "train: mpirun has started ", launched_ranks(),
                    " processes, and MPI is ", FOVEA_MPI_STATUS, " in this build");
  return nullptr;
}

}  // namespace fovea::cli
