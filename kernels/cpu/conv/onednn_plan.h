#pragma once

#include <dnnl.hpp>
#include <memory>

#include "fovea/kernels/conv_problem.h"

namespace fovea::kernels::cpu::onednn {

/// A primitive for one problem, and the reorder between our weights and the layout that it wants.
struct Plan {
  dnnl::primitive primitive;
  int x_argument, y_argument, weight_argument;
  dnnl::memory::desc x, y, weight, scratchpad;
  dnnl::memory::desc plain_weight;  // [K, R, S, C] in memory
  dnnl::primitive reorder;  // forward and backward_input: plain -> weight; backward_weight: weight -> plain
  bool needs_reorder = false;
};

/// Never destroyed, as plans are: objects with static storage may convolve in their destructors.
const dnnl::engine& cpu_engine();

/// The plan of one pass on one thread; planned, if it is not among those that are kept.
std::shared_ptr<const Plan> plan_for(ConvPass pass, const ConvProblem& problem);

}  // namespace fovea::kernels::cpu::onednn
