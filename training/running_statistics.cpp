#include "fovea/training/running_statistics.h"

#include <map>

#include "fovea/core/check.h"
#include "fovea/kernels/arithmetic.h"
#include "fovea/kernels/count_non_finite.h"
#include "fovea/kernels/training_counters.h"
#include "fovea/training/arena.h"

namespace fovea {

RunningStatistics::RunningStatistics(Module& module) {
  std::map<Dtype, int64_t> sizes;
  const Device device = place_of(module).device;
  for (const NamedBuffer& buffer : named_buffers(module)) {
    if (!is_floating(buffer.tensor.dtype())) continue;
    check(buffer.tensor.device() == device, "train: buffer ", buffer.path, " is on ", buffer.tensor.device(),
          ", the first parameter on ", device);
    sizes[buffer.tensor.dtype()] += size_in_arena(buffer.tensor.size());
  }
  for (const auto& [dtype, size] : sizes) {
    const Arena arena{Tensor::zeros({size}, dtype, device), Tensor::zeros({size}, dtype, device)};
    int64_t offset = 0;
    replace_buffers(module, [&, wanted = dtype](const Tensor& buffer) {
      if (buffer.dtype() != wanted) return buffer;
      Tensor place = arena.now.slice(offset, buffer.shape());
      place.copy_from(buffer);
      offset += size_in_arena(buffer.size());
      return place;
    });
    arenas_.push_back(arena);
  }
  keep();
}

void RunningStatistics::keep() {
  for (Arena& arena : arenas_) arena.before.copy_from(arena.now);
}

void RunningStatistics::count_non_finite(Tensor& count) const {
  for (const Arena& arena : arenas_) kernels::count_non_finite(arena.now, count);
}

void RunningStatistics::settle(const Tensor& non_finite) {
  for (Arena& arena : arenas_) kernels::settle_step(non_finite, arena.now, arena.before);
}

void RunningStatistics::undo() {
  for (Arena& arena : arenas_) arena.now.copy_from(arena.before);
}

void RunningStatistics::average(Ranks& ranks) {
  for (Arena& arena : arenas_) {
    ranks.sum(arena.now);
    kernels::scale_forward(arena.now, 1.0 / ranks.size(), arena.now);
  }
}

std::vector<Tensor> RunningStatistics::arenas() const {
  std::vector<Tensor> result;
  for (const Arena& arena : arenas_) result.push_back(arena.now);
  return result;
}

}  // namespace fovea
