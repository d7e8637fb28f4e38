#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "emulator.h"
#include "fovea/core/check.h"
#include "fovea/core/environment.h"
#include "memory.h"
#include "streams.h"

// Properties, errors and memory of the emulated device.

namespace fovea::emulator {
namespace {

constexpr int kCacheBytes = 1 << 20;
thread_local cudaError_t last_error = cudaSuccess;
cudaError_t device_error = cudaSuccess;  // of a device that has failed for good
cudaError_t later_error = cudaSuccess;   // its error, once so much more has run:
int64_t runs_left = 0;
int device_count = 1;

/// Pinned memory of the CPU: begin -> bytes.
struct Pinned {
  std::mutex mutex;
  std::map<uintptr_t, size_t> blocks;
};
Pinned& pinned() {
  static auto* own = new Pinned;
  return *own;
}

bool is_pinned(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const std::lock_guard lock(pinned().mutex);
  const auto after = pinned().blocks.upper_bound(address);
  return after != pinned().blocks.begin() && address < std::prev(after)->first + std::prev(after)->second;
}

}  // namespace

/// What a call returns; a device that has failed gives its error instead.
cudaError_t remember(cudaError_t error) {
  if (device_error != cudaSuccess) error = device_error;
  if (error != cudaSuccess) last_error = error;
  return error;
}

void fail_device(cudaError_t error, int64_t after) {
  device_error = after == 0 ? error : cudaSuccess;
  later_error = error;
  runs_left = after;
  last_error = cudaSuccess;
}

void set_device_count(int count) {
  device_count = count;
}

void count_run() {
  if (runs_left > 0 && --runs_left == 0) device_error = later_error;
}

int multiprocessors() {
  // Few: loops over more work than one grid has are reached with small tensors.
  constexpr int kFew = 4;
  static const int count = [] {
    const std::string text = environment("FOVEA_EMULATED_MULTIPROCESSORS");
    if (text.empty()) return kFew;
    const int wanted = std::atoi(text.c_str());
    check<UsageError>(wanted > 0 && str(wanted) == text, "FOVEA_EMULATED_MULTIPROCESSORS: '", text,
                      "' is no positive number");
    return wanted;
  }();
  return count;
}

}  // namespace fovea::emulator

namespace emulator = fovea::emulator;
using emulator::remember;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorCapturedEvent: return "cudaErrorCapturedEvent";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    default: return "cudaErrorInvalidValue";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureIsolation: return "dependency created on uncaptured work in another stream";
    case cudaErrorCapturedEvent:
      return "operation not permitted on an event last recorded in a capturing stream";
    case cudaErrorNotReady: return "device not ready";
    default: return "invalid argument";
  }
}
cudaError_t cudaGetLastError() {
  emulator::remember(cudaSuccess);
  return std::exchange(emulator::last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulator::device_count;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulator::device_count) return remember(cudaErrorInvalidDevice);
  emulator::current_device() = device;
  return remember(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated on the CPU",       emulator::kDeviceBytes, 9, 0,
                 emulator::multiprocessors(), emulator::kCacheBytes};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = emulator::multiprocessors(); break;
    case cudaDevAttrL2CacheSize: *value = emulator::kCacheBytes; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = emulator::kSharedBytes; break;
  }
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  *pointer = emulator::memory().allocate(bytes);
  return remember(*pointer != nullptr ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* pointer) {
  // It waits for what may still use the memory.
  emulator::drain_all();
  return remember(pointer == nullptr || emulator::memory().release(pointer) ? cudaSuccess
                                                                            : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = emulator::memory().bytes_free();
  *total = emulator::kDeviceBytes;
  return remember(cudaSuccess);
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  if (emulator::is_capturing()) return emulator::refuse_capture(cudaErrorStreamCaptureUnsupported);
  *pointer = std::malloc(std::max<size_t>(bytes, 1));
  if (*pointer == nullptr) return remember(cudaErrorMemoryAllocation);
  const std::lock_guard lock(emulator::pinned().mutex);
  emulator::pinned().blocks.emplace(reinterpret_cast<uintptr_t>(*pointer), bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  emulator::drain_all();
  const std::lock_guard lock(emulator::pinned().mutex);
  emulator::pinned().blocks.erase(reinterpret_cast<uintptr_t>(pointer));
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  const bool to_device = emulator::memory().contains(to), from_device = emulator::memory().contains(from);
  const bool is_pageable =
      (!to_device && !emulator::is_pinned(to)) || (!from_device && !emulator::is_pinned(from));
  if (is_pageable && emulator::is_capturing_beside(stream)) {
    return emulator::refuse_capture(cudaErrorStreamCaptureUnsupported);
  }
  const auto count = static_cast<int64_t>(bytes);
  const auto copy_from = [=](const void* source) {
    const emulator::DeviceMemoryAccess access;
    std::memmove(to, source, bytes);
  };
  if (is_pageable && !from_device) {
    // The caller may change it as soon as the call returns.
    const auto* begin = static_cast<const unsigned char*>(from);
    const std::vector<unsigned char> kept(begin, begin + bytes);
    emulator::submit(stream, {"copy", [=] { copy_from(kept.data()); }, 0, to_device ? count : 0});
  } else {
    // Pinned memory is read and written when its turn comes; and so is what is copied to other memory, though
    // CUDA may wait there.
    emulator::submit(stream,
                     {"copy", [=] { copy_from(from); }, from_device ? count : 0, to_device ? count : 0});
  }
  return remember(cudaSuccess);
}
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  const auto run = [=] {
    const emulator::DeviceMemoryAccess access;
    std::memset(pointer, value, bytes);
  };
  emulator::submit(stream, {"fill", run, 0, static_cast<int64_t>(bytes)});
  return remember(cudaSuccess);
}
