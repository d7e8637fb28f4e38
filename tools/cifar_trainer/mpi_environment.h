#pragma once

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string>

#include "fovea/core/environment.h"

namespace fovea::cli {

/// The number in the first of these environment variables that is set; 1 without any: what MPI's launchers
/// say of a run before MPI itself is asked.
inline int launched(std::initializer_list<const char*> variables) {
  for (const char* const variable : variables) {
    const std::string text = environment(variable);
    int number = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) return number;
  }
  return 1;
}
/// How many processes Open MPI's or MPICH's launcher has started as one run.
inline int launched_ranks() {
  return launched({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
}
/// How many of them are on this machine.
inline int launched_ranks_here() {
  return std::max(1, launched({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}));
}

}  // namespace fovea::cli
