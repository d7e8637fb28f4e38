#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "fovea/core/check.h"

/// For the sources of the CUDA backend only: it includes CUDA's own header, so it is not installed.
namespace fovea::cuda {

/// A DeviceError that begins with `operation` and gives CUDA's words, unless `status` is success; OutOfMemory
/// if that is why.
template <class... Parts>
void check_cuda(cudaError_t status, const char* operation, const Parts&... parts) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it is reported: the next launch must not report it again
  const std::string message =
      str(operation, ": ", cudaGetErrorName(status), ": ", cudaGetErrorString(status), parts...);
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(message);
  throw DeviceError(message);
}

/// The device on which this thread launches: the last use_device, 0 at first.
int current_device();
/// The stream on which this thread's kernels and copies are ordered, on the current device.
cudaStream_t current_stream();
/// Whether what is launched there is recorded in a graph, and does not run.
bool is_recording();

/// Of the current device, each asked once: the number of multiprocessors, and the bytes of shared memory that
/// a block may ask for.
int multiprocessors();
int most_shared_memory();

}  // namespace fovea::cuda
