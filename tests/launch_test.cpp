// Who has started a process, by the variables that launchers set.
#include "launch.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <string>

using namespace fovea;
using cli::Launch;
using cli::Launcher;

namespace {

/// The launch that an environment of these variables alone means.
Launch launch_with(const std::map<std::string, std::string>& variables) {
  for (const char* const name : {"FOVEA_LAUNCHER",
                                 "OMPI_COMM_WORLD_SIZE",
                                 "OMPI_COMM_WORLD_LOCAL_RANK",
                                 "OMPI_COMM_WORLD_LOCAL_SIZE",
                                 "PMI_SIZE",
                                 "PMI_RANK",
                                 "PMIX_RANK",
                                 "MPI_LOCALRANKID",
                                 "MPI_LOCALNRANKS",
                                 "WORLD_SIZE",
                                 "RANK",
                                 "LOCAL_RANK",
                                 "LOCAL_WORLD_SIZE",
                                 "MASTER_ADDR",
                                 "MASTER_PORT",
                                 "TORCHELASTIC_RUN_ID",
                                 "TORCHELASTIC_RESTART_COUNT",
                                 "SLURM_NTASKS",
                                 "SLURM_STEP_NUM_TASKS",
                                 "SLURM_PROCID",
                                 "SLURM_LOCALID",
                                 "SLURM_STEP_TASKS_PER_NODE",
                                 "SLURM_JOB_ID",
                                 "SLURM_STEP_ID",
                                 "SLURM_RESTART_COUNT"}) {
    unsetenv(name);
  }
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), /*overwrite=*/1);
  return cli::launch_of_environment();
}

using Variables = std::map<std::string, std::string>;

Variables joined(Variables first, const Variables& then) {
  for (const auto& [name, value] : then) first[name] = value;
  return first;
}

const Variables kOpenMpi = {
    {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
const Variables kTorchrun = {{"WORLD_SIZE", "16"},          {"RANK", "11"},       {"LOCAL_RANK", "3"},
                             {"LOCAL_WORLD_SIZE", "8"},     {"MASTER_ADDR", "a"}, {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "b/c"}};
const Variables kSrun = {
    {"SLURM_NTASKS", "6"},  {"SLURM_STEP_NUM_TASKS", "6"},          {"SLURM_PROCID", "5"},
    {"SLURM_LOCALID", "2"}, {"SLURM_STEP_TASKS_PER_NODE", "3(x2)"}, {"SLURM_JOB_ID", "7"},
    {"SLURM_STEP_ID", "0"}};

}  // namespace

TEST_CASE("launch: a process alone, also in a batch script of several tasks") {
  for (const Variables& variables : {Variables{}, Variables{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}},
                                     Variables{{"WORLD_SIZE", "8"}}, Variables{{"RANK", "1"}}}) {
    const Launch launch = launch_with(variables);
    CHECK(launch.by == Launcher::none);
    CHECK(!launch.is_shared());
  }
}

TEST_CASE("launch: mpirun, torchrun and srun") {
  const Launch mpi = launch_with(kOpenMpi);
  CHECK(mpi.by == Launcher::mpi);
  CHECK(mpi.str() == "mpirun has started 4 processes");
  CHECK(mpi.local_rank == 1);
  CHECK(mpi.local_size == 2);
  const Launch torchrun = launch_with(kTorchrun);
  CHECK(torchrun.by == Launcher::torchrun);
  CHECK(torchrun.size == 16);
  CHECK(torchrun.rank == 11);
  CHECK(torchrun.local_rank == 3);
  CHECK(torchrun.local_size == 8);
  CHECK(torchrun.name == "torchrun-b_c-a-29500-");
  const Launch srun = launch_with(kSrun);
  CHECK(srun.by == Launcher::slurm);
  CHECK(srun.size == 6);
  CHECK(srun.rank == 5);
  CHECK(srun.local_rank == 2);
  CHECK(srun.local_size == 3);
  CHECK(srun.name == "slurm-7-0-");
}

TEST_CASE("launch: of two launchers the inner one, and none where none is wanted") {
  const Variables pmix = joined(kSrun, {{"PMIX_RANK", "5"}});
  CHECK(launch_with(pmix).by == Launcher::mpi);
  CHECK(launch_with(pmix).size == 6);
  CHECK(launch_with(joined(pmix, kTorchrun)).by == Launcher::torchrun);
  CHECK(launch_with(joined(kOpenMpi, kTorchrun)).local_rank == 3);
  CHECK(launch_with(joined(kSrun, kOpenMpi)).by == Launcher::mpi);
  CHECK(launch_with(joined(kSrun, kOpenMpi)).size == 4);
  CHECK(launch_with(joined(kOpenMpi, {{"FOVEA_LAUNCHER", "none"}})).by == Launcher::none);
  CHECK(launch_with(joined(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "0"}})).local_size == 1);
}
