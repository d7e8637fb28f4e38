#include "fovea/kernels/cuda/arrival.h"

#include <array>
#include <mutex>

namespace fovea::kernels::cuda {
namespace {

constexpr int64_t kCounters = 1 << 16;
// 0 on each device as soon as its code is loaded, also where that happens while a graph is recorded.
__device__ unsigned counters[kCounters];

}  // namespace

unsigned* arrival_counters(const char* operation, int64_t count) {
  check(count <= kCounters, operation, ": the blocks of a launch need ", count, " counters, there are ",
        kCounters, "; split the batch");
  constexpr size_t kMostDevices = 64;
  static std::array<std::once_flag, kMostDevices> once;
  static std::array<unsigned*, kMostDevices> places{};
  const auto device = static_cast<size_t>(fovea::cuda::current_device());
  std::call_once(once[device], [&] {
    void* place = nullptr;
    fovea::cuda::check_cuda(cudaGetSymbolAddress(&place, counters), operation, ": counters of blocks");
    places[device] = static_cast<unsigned*>(place);
  });
  return places[device];
}

}  // namespace fovea::kernels::cuda
