#pragma once

#include "fovea/kernels/cuda/conv/plans.h"

namespace fovea::kernels::cuda {

/// The plan for a convolution by cuDNN on the current device: see ConvPlans::plan_for. With FOVEA_AUTOTUNE=0
/// in the environment engines are not timed, and nothing is kept between processes.
std::shared_ptr<const ConvPlan> plan_for(const ConvKey& problem);

}  // namespace fovea::kernels::cuda
