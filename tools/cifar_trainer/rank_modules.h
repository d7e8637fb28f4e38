#pragma once

#include "fovea/training/nccl.h"

/// What modules have that StartedRanks loads: functions of fovea::mpi and fovea::nccl, over the program's own
/// Fovea. The caller owns the results.

/// cifar_trainer_mpi.so: mpi_ranks().
extern "C" [[gnu::visibility("default")]] fovea::Ranks* cifar_trainer_mpi_ranks(void (*report)(int rank,
                                                                                               int size,
                                                                                               int seconds));
/// cifar_trainer_nccl.so: nccl_ranks().
extern "C" [[gnu::visibility("default")]] fovea::Ranks* cifar_trainer_nccl_ranks(
    const fovea::NcclSettings& settings);
