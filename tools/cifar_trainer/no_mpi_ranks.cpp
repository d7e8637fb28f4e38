#include "fovea/core/check.h"
#include "mpi_environment.h"
#include "mpi_ranks.h"

namespace fovea::cli {

std::unique_ptr<Ranks> start_ranks() {
  check<UsageError>(launched_ranks() < 2, "train: mpirun has started ", launched_ranks(),
                    " processes, and MPI is ", FOVEA_MPI_STATUS, " in this build");
  return nullptr;
}

void check_started_alone(const char* command) {
  check<UsageError>(launched_ranks() < 2, command, ": mpirun has started ", launched_ranks(),
                    " processes, and trains one run; wanted cifar_trainer train without --seeds");
}

int ranks_on_this_machine() {
  return 1;
}

}  // namespace fovea::cli
