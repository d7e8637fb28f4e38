#include "fovea/training/mpi.h"
#include "rank_modules.h"

fovea::Ranks* cifar_trainer_mpi_ranks(void (*report)(int rank, int size, int seconds)) {
  return fovea::mpi_ranks(report).release();
}
