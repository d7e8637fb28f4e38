#include "rank_modules.h"

fovea::Ranks* cifar_trainer_nccl_ranks(const fovea::NcclSettings& settings) {
  return fovea::nccl_ranks(settings).release();
}
