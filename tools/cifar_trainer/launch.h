#pragma once

#include <string>

namespace fovea::cli {

/// Who has started the processes of a run, as the environment has it.
enum class Launcher { none, mpi, torchrun, slurm };

/// How this process was started.
struct Launch {
  Launcher by = Launcher::none;
  int rank = 0, size = 1;              // among all processes; rank: not of MPI's, where MPI itself has it
  int local_rank = 0, local_size = 1;  // among those on this machine
  std::string name{};                  // of the start, for the name of a file; not of MPI's

  /// Whether it is one of several.
  bool is_shared() const { return size > 1; }
  /// "mpirun has started 4 processes"
  std::string str() const;
};

/// torchrun; mpirun and mpiexec (Open MPI, MPICH), and srun where it speaks to MPI; srun alone. In this
/// order: srun and mpirun start a torchrun on each machine, whose variables are there beside theirs. None
/// with FOVEA_LAUNCHER=none.
Launch launch_of_environment();

}  // namespace fovea::cli
