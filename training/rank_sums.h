#pragma once

#include <cstdint>
#include <vector>

#include "fovea/core/ranks.h"
#include "fovea/core/tensor.h"
#include "fovea/kernels/arithmetic.h"

namespace fovea {

/// total = the sum of what the ranks gave, as Ranks::sum adds it: pairs, then pairs of pairs. Changes the
/// parts, of one shape and dtype, floating or i64, on the CPU.
inline void sum_parts(std::vector<Tensor>& parts, Tensor& total) {
  add_by_pairs(std::ssize(parts), [&](int64_t to, int64_t from) {
    Tensor& sum = parts[static_cast<size_t>(to)];
    const Tensor& part = parts[static_cast<size_t>(from)];
    if (sum.dtype() != Dtype::i64) return kernels::accumulate(part, sum);
    const int64_t* const numbers = part.data<int64_t>();
    for (int64_t i = 0; i < sum.size(); ++i) sum.data<int64_t>()[i] += numbers[i];
  });
  total.copy_from(parts[0]);
}

/// The sums of the ranks' numbers; `numbers` without ranks.
inline std::vector<int64_t> sums_over_ranks(Ranks* ranks, std::vector<int64_t> numbers) {
  if (ranks == nullptr) return numbers;
  Tensor sums = Tensor::from<int64_t>(numbers, {std::ssize(numbers)});
  ranks->sum(sums);
  return {sums.data<int64_t>(), sums.data<int64_t>() + sums.size()};
}

}  // namespace fovea
