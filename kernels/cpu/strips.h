#pragma once

#include <cstdint>

#include "fovea/kernels/cpu/vec.h"

/// Products of f32 matrices that one core finds in its cache, without the packing that a library does first.
///
/// A matrix lies in strips as wide as a register: [columns / kLanes][rows][kLanes]. So the element of a row
/// is at a fixed distance from that of the row before, and a kernel that keeps a block of the result in
/// registers needs one pointer for all rows.
namespace fovea::kernels::cpu {

/// Rows of a result come in multiples of this.
inline constexpr int64_t kStripRows = 4;

/// c = a * b: a [rows, depth], b [depth, columns], c [rows, columns], all in strips and apart; depth and
/// columns multiples of kLanes<float>, rows of kStripRows.
void multiply(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b, float* c);

/// c = a^T * b, or c += a^T * b: a [depth, rows], b [depth, columns], c [rows, columns], all in strips and
/// apart; rows and columns multiples of kLanes<float>.
void multiply_transposed(int64_t rows, int64_t depth, int64_t columns, const float* a, const float* b,
                         float* c, bool add);

}  // namespace fovea::kernels::cpu
