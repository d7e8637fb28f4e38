#pragma once

#include <cstdint>

#include "fovea/kernels/conv_problem.h"
#include "fovea/kernels/cpu/grouped_chunks.h"

namespace fovea::kernels::cpu {

/// A batch cut into chunks of nearly equal size, in units: whole images, or, where every pixel is convolved
/// by itself, rows of pixels. The size comes from the shape and the groups, and each chunk is computed by one
/// thread: so no result depends on the number of threads, and a chunk stays in the thread's L2 cache.
class Chunks : public GroupedChunks {
 public:
  /// `floats_per_x` and `floats_per_y`: how many floats a thread keeps in its cache for every element of x
  /// and of y, which set the size of a chunk.
  Chunks(const ConvProblem& problem, int64_t floats_per_x, int64_t floats_per_y);

  /// Whole images, of which a chunk holds `floats_per_image` at once.
  static Chunks images(const ConvProblem& problem, int64_t floats_per_image);
  /// Whole images, as many in each chunk as in those of `other`.
  static Chunks images(const ConvProblem& problem, const Chunks& other);

  /// Elements of x and of y in a unit.
  int64_t x_unit() const { return x_unit_; }
  int64_t y_unit() const { return y_unit_; }
  /// The problem for `count` units.
  ConvProblem problem(int64_t count) const;
  /// The problem for all of them.
  const ConvProblem& whole() const { return whole_; }

 private:
  Chunks(const ConvProblem& problem, bool by_rows, const GroupedChunks& cut);

  ConvProblem whole_;
  bool by_rows_;
  int64_t x_unit_, y_unit_;
};

/// The chunks of one pass alone, where nothing of what is around it is to stay in the cache.
Chunks chunks_of(ConvPass pass, const ConvProblem& problem);

}  // namespace fovea::kernels::cpu
