#include "fovea/kernels/cpu/conv/chunks.h"

#include <algorithm>

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kChunkBytes = 768 << 10;  // of one chunk: most of a 1 MB L2 cache

/// Cuts `units` units, of each of which so many floats are to stay in the cache.
GroupedChunks cut(const ConvProblem& problem, int64_t units, int64_t floats_per_unit) {
  if (floats_per_unit == 0) return GroupedChunks(units);
  // The weights are read for every chunk: where they are large, so is a chunk.
  const int64_t bytes = std::max(kChunkBytes, 2 * problem.weight_size() * kFloatBytes);
  return {units, std::max<int64_t>(1, bytes / (floats_per_unit * kFloatBytes))};
}

/// Units of an image.
int64_t units_of_image(const ConvProblem& problem) {
  return problem.is_pointwise() ? problem.H : 1;
}

}  // namespace

Chunks::Chunks(const ConvProblem& problem, bool by_rows, const GroupedChunks& cut)
    : GroupedChunks(cut),
      whole_(problem),
      by_rows_(by_rows),
      x_unit_(problem.x_image() / (by_rows ? problem.H : 1)),
      y_unit_(problem.y_image() / (by_rows ? problem.H : 1)) {}

Chunks::Chunks(const ConvProblem& problem, int64_t floats_per_x, int64_t floats_per_y)
    : Chunks(problem, problem.is_pointwise(),
             cut(problem, problem.N * units_of_image(problem),
                 (floats_per_x * problem.x_image() + floats_per_y * problem.y_image()) /
                     units_of_image(problem))) {}

Chunks Chunks::images(const ConvProblem& problem, int64_t floats_per_image) {
  return {problem, /*by_rows=*/false, cut(problem, problem.N, floats_per_image)};
}

Chunks Chunks::images(const ConvProblem& problem, const Chunks& other) {
  return {problem, /*by_rows=*/false, other};
}

ConvProblem Chunks::problem(int64_t count) const {
  ConvProblem problem = whole_;
  problem.N = by_rows_ ? 1 : count;
  if (by_rows_) problem.H = count;
  return problem;
}

Chunks chunks_of(ConvPass pass, const ConvProblem& problem) {
  // The gradient of the filters reads x and dy once: its chunks need not stay in the cache.
  if (pass == ConvPass::backward_weight) return {problem, /*floats_per_x=*/0, /*floats_per_y=*/0};
  return {problem, /*floats_per_x=*/1, /*floats_per_y=*/1};
}

}  // namespace fovea::kernels::cpu
