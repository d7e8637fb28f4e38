#pragma once

#include <vector>

#include "fovea/kernels/conv_problem.h"
#include "fovea/kernels/preactivation_conv.h"

namespace fovea::kernels {

/// The convolution of a stage on x.
inline ConvProblem problem_of(const Shape& x, const PreactivationStage& stage) {
  return ConvProblem::of(x, stage.weight.shape(), stage.stride, stage.padding);
}

/// Those of several stages after each other.
inline std::vector<ConvProblem> problems_of(const Shape& x, const PreactivationStages& chain) {
  std::vector<ConvProblem> problems;
  Shape shape = x;
  for (const PreactivationStage& stage : chain.stages) {
    problems.push_back(problem_of(shape, stage));
    shape = problems.back().y();
  }
  return problems;
}

}  // namespace fovea::kernels
