#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
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

/// The text of rank `which`, which all ranks get; that of the others is not looked at.
inline std::string text_of_rank(Ranks& ranks, int64_t which, const std::string& own) {
  const bool gives = ranks.rank() == which;
  const int64_t length = sums_over_ranks(&ranks, {gives ? std::ssize(own) : 0})[0];
  Tensor given = Tensor::zeros({length}, Dtype::u8), all = Tensor::zeros({ranks.size(), length}, Dtype::u8);
  if (gives) std::copy(own.begin(), own.end(), given.data<uint8_t>());
  ranks.gather(given, all);
  const uint8_t* const begin = all.data<uint8_t>() + which * length;
  return {begin, begin + length};
}

}  // namespace fovea
