#include "fovea/training/averaged_weights.h"

#include <cstddef>

#include "fovea/kernels/moving_average.h"

namespace fovea {

AveragedWeights::AveragedWeights(const std::vector<Tensor>& followed, double decay) : decay_(decay) {
  for (const Tensor& arena : followed) {
    if (arena.size() > 0) arenas_.push_back({arena, arena.clone(), Tensor::zeros_like(arena)});
  }
}

void AveragedWeights::follow(const Tensor& steps, const Tensor& non_finite) {
  for (Arena& arena : arenas_) {
    kernels::moving_average(arena.followed, steps, non_finite, decay_, arena.average);
  }
}

void AveragedWeights::swap() {
  for (Arena& arena : arenas_) {
    arena.spare.copy_from(arena.followed);
    arena.followed.copy_from(arena.average);
    arena.average.copy_from(arena.spare);
  }
  is_swapped_ = !is_swapped_;
}

void AveragedWeights::go_on_from_averages() {
  for (Arena& arena : arenas_) {
    Tensor& to = is_swapped_ ? arena.average : arena.followed;
    to.copy_from(is_swapped_ ? arena.followed : arena.average);
  }
}

Tensor AveragedWeights::counterpart(const Tensor& tensor, bool is_elsewhere) const {
  if (!is_elsewhere) return tensor;
  const auto* const address = static_cast<const std::byte*>(tensor.raw());
  for (const Arena& arena : arenas_) {
    const auto* const begin = static_cast<const std::byte*>(arena.followed.raw());
    if (tensor.dtype() != arena.followed.dtype() || address < begin ||
        address >= begin + arena.followed.bytes()) {
      continue;
    }
    const auto offset = (address - begin) / static_cast<std::ptrdiff_t>(size_of(tensor.dtype()));
    return arena.average.slice(offset, tensor.shape());
  }
  return tensor;
}

}  // namespace fovea
