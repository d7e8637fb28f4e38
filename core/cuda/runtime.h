#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "fovea/core/check.h"

/// For the sources of the CUDA backend only: it includes CUDA's own header, so it is not installed.
namespace fovea::cuda {

/// Whether an error is one after which a device answers every call with it, as long as the process lives.
bool is_final(cudaError_t status);
/// What to do next about an error, for the end of a message; "" where CUDA's words say all.
const char* advice_on(cudaError_t status);

/// A DeviceError that begins with `operation` and gives CUDA's words, unless `status` is success; OutOfMemory
/// or DeviceLost if that is why.
template <class... Parts>
void check_cuda(cudaError_t status, const char* operation, const Parts&... parts) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is reported: the next launch must not report it again
  const std::string message = str(operation, ": ", cudaGetErrorName(status), ": ", cudaGetErrorString(status),
                                  parts..., advice_on(status));
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(message);
  if (is_final(status)) throw DeviceLost(message + DeviceLost::kAdvice);
  throw DeviceError(message);
}

/// The device on which this thread launches: the last use_device, 0 at first.
int current_device();
/// The stream on which this thread's kernels and copies are ordered, on the current device.
cudaStream_t current_stream();
/// Whether what is launched there is recorded in a graph, and does not run.
bool is_recording();

/// While one lives, this thread is on a device; then it is on the one before again. Never throws.
class DeviceScope {
 public:
  explicit DeviceScope(int device) noexcept;
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

  /// Whether the device could be made current; where not, the thread uses the one that it used before.
  cudaError_t status() const { return status_; }

 private:
  int before_;
  cudaError_t status_;
};

/// The number of multiprocessors of the current device, and the bytes of shared memory that a block may ask
/// for; CUDA is asked once.
int multiprocessors();
int most_shared_memory();

}  // namespace fovea::cuda
