#include "fovea/kernels/cpu/conv/chunks.h"

#include <algorithm>

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kChunkBytes = 768 << 10;  // of one chunk: most of a 1 MB L2 cache

}  // namespace

Chunks::Chunks(const ConvProblem& problem, bool by_rows)
    : whole_(problem),
      by_rows_(by_rows),
      units_(by_rows ? problem.N * problem.H : problem.N),
      x_unit_(problem.x_image() / (by_rows ? problem.H : 1)),
      y_unit_(problem.y_image() / (by_rows ? problem.H : 1)) {}

void Chunks::choose_size(int64_t bytes_per_unit, int64_t groups) {
  const int64_t weight_bytes = whole_.weight_size() * kFloatBytes;
  // The weights are read for every chunk: where they are large, so is a chunk.
  const int64_t wanted = std::max(kChunkBytes, 2 * weight_bytes) / std::max<int64_t>(bytes_per_unit, 1);
  const int64_t largest = bytes_per_unit > 0 ? std::clamp<int64_t>(wanted, 1, units_) : units_;
  groups_ = std::min(groups, units_);
  const int64_t per_group = (units_ / groups_ + largest - 1) / largest;
  chunks_ = groups_ * std::max<int64_t>(per_group, 1);
}

Chunks::Chunks(const ConvProblem& problem, int64_t floats_per_x, int64_t floats_per_y, int64_t groups)
    : Chunks(problem, problem.is_pointwise()) {
  choose_size((floats_per_x * x_unit_ + floats_per_y * y_unit_) * kFloatBytes, groups);
}

Chunks Chunks::images(const ConvProblem& problem, int64_t floats_per_image) {
  Chunks chunks(problem, /*by_rows=*/false);
  chunks.choose_size(floats_per_image * kFloatBytes, kGroups);
  return chunks;
}

Chunks Chunks::images(const ConvProblem& problem, const Chunks& other) {
  Chunks chunks(problem, /*by_rows=*/false);
  chunks.groups_ = other.groups_;
  chunks.chunks_ = other.chunks_;
  return chunks;
}

ConvProblem Chunks::problem(int64_t count) const {
  ConvProblem problem = whole_;
  problem.N = by_rows_ ? 1 : count;
  if (by_rows_) problem.H = count;
  return problem;
}

Chunks chunks_of(ConvPass pass, const ConvProblem& problem) {
  // The gradient of the filters reads x and dy once: its chunks need not stay in the cache.
  if (pass == ConvPass::backward_weight) return {problem, /*floats_per_x=*/0, /*floats_per_y=*/0, kGroups};
  return {problem, /*floats_per_x=*/1, /*floats_per_y=*/1, /*groups=*/1};
}

}  // namespace fovea::kernels::cpu
