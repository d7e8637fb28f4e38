#pragma once

#include <signal.h>

#include <catch2/catch.hpp>
#include <string>

#include "trainer_program.h"

// For tests that are compiled with FOVEA_MPIRUN, the launcher of Open MPI.
namespace fovea {

/// The command line of so many processes of a program.
inline Words mpirun(int ranks, const Words& program) {
  return joined({FOVEA_MPIRUN, "--oversubscribe", "-n", std::to_string(ranks)}, program);
}

/// The same, each of which is `script` in a shell first, whose $0 is the folder.
inline Words mpirun_after(const std::string& script, const std::string& folder, int ranks,
                          const Words& program) {
  return mpirun(ranks, joined({"sh", "-c", script + " && exec \"$@\"", folder}, program));
}

/// For mpirun_after: leaves the number of each rank's process in the folder, for send_to_rank.
inline constexpr const char* kLeaveProcess = "echo $$ > \"$0/pid.$OMPI_COMM_WORLD_RANK\"";
inline void send_to_rank(int signal, int rank, const std::string& folder) {
  REQUIRE(::kill(std::stoi(file_bytes(folder + "/pid." + std::to_string(rank))), signal) == 0);
}

}  // namespace fovea
