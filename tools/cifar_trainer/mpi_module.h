#pragma once

#include "fovea/core/ranks.h"

/// cifar_trainer_mpi.so, which start_ranks() loads: mpi_ranks() of fovea::mpi, over the program's own Fovea.
/// The caller owns the result.
extern "C" [[gnu::visibility("default")]] fovea::Ranks* cifar_trainer_mpi_ranks(void (*report)(int rank,
                                                                                               int size));
