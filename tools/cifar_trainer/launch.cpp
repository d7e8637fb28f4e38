#include "launch.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "host_name.h"

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

// What may stand in the name of a file.
std::string as_name(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '/' || c == '\0'; }, '_');
  return text;
}

}  // namespace

std::string Launch::str() const {
  const char* const names[] = {"nobody", "mpirun", "torchrun", "srun"};
  return fovea::str(names[static_cast<int>(by)], " has started ", size, " processes");
}

Launch launch_of_environment() {
  if (environment("FOVEA_LAUNCHER") == "none") return {};
  Launch launch;
  const auto set_local = [&](std::initializer_list<const char*> rank,
                             std::initializer_list<const char*> size) {
    launch.local_rank = number_of(rank).value_or(0);
    launch.local_size = std::max(1, number_of(size).value_or(1));
  };
  const std::optional<int> world = number_of({"WORLD_SIZE"}), rank = number_of({"RANK"});
  if (world && rank && !environment("TORCHELASTIC_RUN_ID").empty()) {
    launch.by = Launcher::torchrun;
    launch.size = *world;
    launch.rank = *rank;
    set_local({"LOCAL_RANK"}, {"LOCAL_WORLD_SIZE"});
    // The run's name is "none" where none was given, and its port is often the same.
    const std::string where = launch.local_size == launch.size ? host_name() : environment("MASTER_ADDR");
    launch.name = as_name(str("torchrun-", environment("TORCHELASTIC_RUN_ID"), "-", where, "-",
                              environment("MASTER_PORT"), "-", environment("TORCHELASTIC_RESTART_COUNT")));
    return launch;
  }
  // Not SLURM_NTASKS, which a batch script of several tasks has, too, before srun starts them.
  const std::optional<int> of_slurm = number_of({"SLURM_STEP_NUM_TASKS"}),
                           of_mpi = number_of({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  if (of_mpi || (of_slurm && number_of({"PMIX_RANK", "PMI_RANK"}))) {
    launch.by = Launcher::mpi;
    launch.size = of_mpi.value_or(of_slurm.value_or(1));
    set_local({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"},
              {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"});
  } else if (of_slurm) {
    launch.by = Launcher::slurm;
    launch.size = *of_slurm;
    launch.rank = number_of({"SLURM_PROCID"}).value_or(0);
    set_local({"SLURM_LOCALID"}, {"SLURM_STEP_TASKS_PER_NODE"});
    launch.name = as_name(str("slurm-", environment("SLURM_JOB_ID"), "-", environment("SLURM_STEP_ID"), "-",
                              environment("SLURM_RESTART_COUNT")));
  }
  return launch;
}

}  // namespace fovea::cli
