#pragma once

#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/core/tensor.h"

#pragma GCC visibility push(default)
namespace fovea {

/// total = the sum of what the ranks gave, as Ranks::sum adds it: pairs, then pairs of pairs. Changes the
/// parts, of one shape and dtype, floating or i64, on the CPU.
void sum_parts(std::vector<Tensor>& parts, Tensor& total);

/// The sum of the ranks' numbers; `number` without ranks.
int64_t sum_over_ranks(Ranks* ranks, int64_t number);

}  // namespace fovea
#pragma GCC visibility pop
