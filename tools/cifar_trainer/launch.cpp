#include "launch.h"

#include <charconv>
#include <initializer_list>
#include <optional>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"

namespace fovea::cli {
namespace {

// The number with which the first of these variables begins that is set: Slurm writes 4(x2) for twice four.
std::optional<int> number_of(std::initializer_list<const char*> variables) {
  for (const char* const variable : variables) {
    const std::string text = environment(variable);
    int number = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) return number;
  }
  return std::nullopt;
}

}  // namespace

std::string Launch::str() const {
  const char* const names[] = {"nobody", "mpirun", "torchrun", "srun"};
  return fovea::str(names[static_cast<int>(by)], " has started ", size, " processes");
}

Launch launch_of_environment() {
  Launch launch;
  launch.local_rank =
      number_of({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "LOCAL_RANK", "SLURM_LOCALID"}).value_or(0);
  launch.local_size = number_of({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "LOCAL_WORLD_SIZE",
                                 "SLURM_STEP_TASKS_PER_NODE"})
                          .value_or(1);
  // Not SLURM_NTASKS, which a batch script of several tasks has, too, before srun starts them.
  const std::optional<int> of_slurm = number_of({"SLURM_STEP_NUM_TASKS"});
  const bool has_pmi = number_of({"PMIX_RANK", "PMI_RANK"}).has_value();
  if (const auto size = number_of({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}); size || (of_slurm && has_pmi)) {
    launch.by = Launcher::mpi;
    launch.size = size.value_or(of_slurm.value_or(1));
  } else if (const auto world = number_of({"WORLD_SIZE"});
             world && number_of({"RANK"}) && number_of({"MASTER_PORT"})) {
    launch.by = Launcher::torchrun;
    launch.size = *world;
    launch.rank = *number_of({"RANK"});
    launch.name = environment("TORCHELASTIC_RUN_ID") + "-" + environment("MASTER_PORT") + "-" +
                  environment("TORCHELASTIC_RESTART_COUNT");
  } else if (of_slurm) {
    launch.by = Launcher::slurm;
    launch.size = *of_slurm;
    launch.rank = number_of({"SLURM_PROCID"}).value_or(0);
    launch.name = environment("SLURM_JOB_ID") + "-" + environment("SLURM_STEP_ID") + "-" +
                  environment("SLURM_RESTART_COUNT");
  }
  return launch;
}

}  // namespace fovea::cli
