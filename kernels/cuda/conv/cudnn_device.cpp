#include <map>
#include <mutex>
#include <tuple>

#include "fovea/core/cuda/runtime.h"
#include "fovea/kernels/cuda/conv/cudnn.h"

// What of cuDNN needs a device; the rest does not.
namespace fovea::cudnn {
namespace {

struct Handle {
  std::mutex mutex;  // a handle serves one thread at a time
  cudnnHandle_t handle = nullptr;
};

enum class Use { planning, executing };

/// One handle per device, stream and use, never destroyed: cuDNN may be gone before static objects are.
Handle& handle_of(int device, cudaStream_t stream, Use use) {
  static auto* mutex = new std::mutex;
  static auto* handles = new std::map<std::tuple<int, cudaStream_t, Use>, Handle>;
  const std::lock_guard lock(*mutex);
  Handle& found = (*handles)[{device, stream, use}];
  if (found.handle == nullptr) {
    cudnnHandle_t handle = nullptr;
    check_cudnn(cudnnCreate(&handle), "handle");
    check_cudnn(cudnnSetStream(handle, stream), "stream");
    found.handle = handle;
  }
  return found;
}

}  // namespace

Target Target::current() {
  Target result;
  result.handle_ =
      handle_of(fovea::cuda::current_device(), fovea::cuda::current_stream(), Use::planning).handle;
  return result;
}

void execute(const Descriptor& plan, const Descriptor& variant_pack) {
  Handle& handle = handle_of(fovea::cuda::current_device(), fovea::cuda::current_stream(), Use::executing);
  const std::lock_guard lock(handle.mutex);
  check_cudnn(cudnnBackendExecute(handle.handle, plan.raw(), variant_pack.raw()), "execute a plan");
}

}  // namespace fovea::cudnn
