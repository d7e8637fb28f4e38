#include <algorithm>
#include <map>
#include <mutex>

#include "cuda_runtime.h"
#include "fovea/core/check.h"

// What can be launched.

namespace fovea::emulator {
namespace {

/// What launches of a kernel may ask for of dynamic shared memory.
struct DynamicLimits {
  std::mutex mutex;
  std::map<const void*, size_t> bytes;
};
DynamicLimits& dynamic_limits() {
  static auto* own = new DynamicLimits;
  return *own;
}

}  // namespace

bool is_grid(Dim3 grid, Dim3 block) {
  constexpr unsigned kThreadLimit = 1024;
  constexpr uint64_t kBlockLimit = (uint64_t{1} << 31) - 1;
  return grid.count() > 0 && grid.x <= kBlockLimit && grid.y <= 65535 && grid.z <= 65535 &&
         block.count() > 0 && block.count() <= kThreadLimit && block.z <= 64;
}

void allow_dynamic_of(const void* kernel, size_t bytes) {
  const std::lock_guard lock(dynamic_limits().mutex);
  dynamic_limits().bytes[kernel] = bytes;
}

cudaError_t check_launch(const void* kernel, Dim3 grid, Dim3 block, size_t dynamic_bytes) {
  if (!is_grid(grid, block)) return remember(cudaErrorInvalidConfiguration);
  const std::lock_guard lock(dynamic_limits().mutex);
  const auto asked = dynamic_limits().bytes.find(kernel);
  const size_t limit = asked == dynamic_limits().bytes.end() ? 0 : asked->second;
  return remember(dynamic_bytes > std::max(limit, kUnaskedShared) ? cudaErrorInvalidValue : cudaSuccess);
}

void refuse_argument(const char* operation) {
  throw Error(str(operation, ": an argument of a kernel points to CPU memory"));
}

}  // namespace fovea::emulator
