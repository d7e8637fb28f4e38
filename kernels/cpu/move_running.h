#pragma once

#include "fovea/kernels/batch_norm.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Moves norm.running, if there is one, as a forward pass over so many rows does.
void move_running(const NormConstants& norm, int64_t rows);

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
