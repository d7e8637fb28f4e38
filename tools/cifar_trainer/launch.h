#pragma once

#include <string>

namespace fovea::cli {

/// Who has started the processes of a run, as the environment has it.
enum class Launcher { none, mpi, torchrun, slurm };

/// How this process was started.
struct Launch {
  Launcher by = Launcher::none;
  int rank = 0, size = 1;  // among all processes; with MPI, size alone, as MPI itself has the rank
  int local_rank = 0, local_size = 1;  // among those on this machine
  std::string name{};                  // of this start, as no other has it; not of MPI's

  /// Whether it is one of several.
  bool is_shared() const { return size > 1; }
  /// "mpirun has started 4 processes"
  std::string str() const;
};

/// mpirun and mpiexec (Open MPI, MPICH), also below srun; torchrun; srun alone. In this order, as an inner
/// one's variables do not hide an outer one's.
Launch launch_of_environment();

}  // namespace fovea::cli
