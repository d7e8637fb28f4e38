#pragma once

#include <functional>
#include <vector>

#include "op_test.h"

namespace fovea::test {

/// What a step of an optimiser's kernel reads and changes.
struct ArenaStep {
  Tensor gradient, learning_rate, gradient_scale, non_finite;
  std::vector<Tensor> moments;
  Tensor weight, copy;
};

/// Checks a kernel that updates an arena of weights with so many `moments`, under AllocatorGuard, for sizes
/// around the kernels' boundaries, gradients of f32, bf16 and f16 with and without a scale, with and without
/// a copy of the weights of 16 bits:
/// - weights and moments near those of f64 for the same gradient, scaled beforehand; on the CPU and, in a
///   program that has one, on a CUDA device, there with the same bits again
/// - the copy is the weights, rounded
/// - a count of numbers that are not finite keeps weights and moments as they are, and still fills the copy
/// - that the gradient does not change
void check_arena_step(int moments, const std::function<void(ArenaStep&)>& step);

}  // namespace fovea::test
