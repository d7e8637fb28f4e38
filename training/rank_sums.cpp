#include "fovea/training/rank_sums.h"

#include <cstdint>

#include "fovea/kernels/arithmetic.h"

namespace fovea {
namespace {

void add(const Tensor& from, Tensor& to) {
  if (from.dtype() != Dtype::i64) return kernels::accumulate(from, to);
  const int64_t* const numbers = from.data<int64_t>();
  for (int64_t i = 0; i < to.size(); ++i) to.data<int64_t>()[i] += numbers[i];
}

}  // namespace

void sum_parts(std::vector<Tensor>& parts, Tensor& total) {
  add_by_pairs(std::ssize(parts), [&](int64_t to, int64_t from) {
    add(parts[static_cast<size_t>(from)], parts[static_cast<size_t>(to)]);
  });
  total.copy_from(parts[0]);
}

int64_t sum_over_ranks(Ranks* ranks, int64_t number) {
  if (ranks == nullptr) return number;
  Tensor sum = Tensor::from<int64_t>({number}, {});
  ranks->sum(sum);
  return static_cast<int64_t>(sum.item());
}

}  // namespace fovea
