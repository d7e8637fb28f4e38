#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "emulator.h"
#include "fovea/core/check.h"
#include "memory.h"
#include "traffic.h"

// Memory, streams and graphs of the emulated device.

using Recording = std::vector<fovea::emulator::Work>;

struct EmulatedStream {
  Recording* recording = nullptr;  // while it is being captured
  bool is_invalidated = false;     // the capture, by what cannot be recorded
};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;  // when it was recorded
};
struct EmulatedGraph {
  Recording work;
};
struct EmulatedGraphExec {
  Recording work;
};

namespace fovea::emulator {
namespace {

constexpr int kMultiprocessors = 4, kCacheBytes = 1 << 20;
thread_local cudaError_t last_error = cudaSuccess;
cudaError_t device_error = cudaSuccess;  // of a device that has failed for good
cudaError_t later_error = cudaSuccess;   // its error, once so much more has run:
int64_t runs_left = 0;
int device_count = 1;

/// What a call returns; a device that has failed gives its error instead.
cudaError_t remember(cudaError_t error) {
  if (device_error != cudaSuccess) error = device_error;
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

void fail_device(cudaError_t error, int64_t after) {
  device_error = after == 0 ? error : cudaSuccess;
  later_error = error;
  runs_left = after;
  last_error = cudaSuccess;
}

void set_device_count(int count) {
  device_count = count;
}

void submit(cudaStream_t stream, Work work) {
  if (stream != nullptr && stream->recording != nullptr) {
    stream->recording->push_back(std::move(work));
  } else if (TrafficMeter::current() == nullptr) {
    work.run();
    if (runs_left > 0 && --runs_left == 0) device_error = later_error;
  }
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
  return remember(device >= 0 && device < emulator::device_count ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated on the CPU",      emulator::kDeviceBytes, 9, 0,
                 emulator::kMultiprocessors, emulator::kCacheBytes};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    // Few multiprocessors: loops over more work than one grid has are reached with small tensors.
    case cudaDevAttrMultiProcessorCount: *value = emulator::kMultiprocessors; break;
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
  return remember(pointer == nullptr || emulator::memory().release(pointer) ? cudaSuccess
                                                                            : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = emulator::memory().bytes_free();
  *total = emulator::kDeviceBytes;
  return remember(cudaSuccess);
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  *pointer = std::malloc(bytes);
  return remember(*pointer != nullptr ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  const auto run = [=] {
    const emulator::DeviceMemoryAccess access;
    std::memmove(to, from, bytes);
  };
  const auto bytes_of = [&](const void* pointer) {
    return emulator::memory().contains(pointer) ? static_cast<int64_t>(bytes) : 0;
  };
  emulator::submit(stream, {"copy", run, bytes_of(from), bytes_of(to)});
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

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const bool is_recording = stream != nullptr && stream->recording != nullptr;
  if (!is_recording) return remember(cudaSuccess);
  stream->is_invalidated = true;
  return remember(cudaErrorStreamCaptureUnsupported);
}
// Work runs as soon as it is launched, so that every event has happened.
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->time = std::chrono::steady_clock::now();
  return remember(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return remember(cudaSuccess);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->recording != nullptr) return remember(cudaErrorInvalidValue);
  stream->recording = new Recording;
  return remember(cudaSuccess);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream == nullptr || stream->recording == nullptr) return remember(cudaErrorInvalidValue);
  const std::unique_ptr<Recording> work(std::exchange(stream->recording, nullptr));
  *graph = nullptr;
  if (std::exchange(stream->is_invalidated, false)) return remember(cudaErrorStreamCaptureInvalidated);
  *graph = new EmulatedGraph{std::move(*work)};
  return remember(cudaSuccess);
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const bool is_recording = stream != nullptr && stream->recording != nullptr;
  *status = !is_recording            ? cudaStreamCaptureStatusNone
            : stream->is_invalidated ? cudaStreamCaptureStatusInvalidated
                                     : cudaStreamCaptureStatusActive;
  return remember(cudaSuccess);
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new EmulatedGraphExec{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  auto* meter = emulator::TrafficMeter::current();
  for (const auto& work : executable->work) {
    if (meter != nullptr) {
      meter->replay(work);
    } else {
      emulator::submit(stream, work);
    }
  }
  return remember(cudaSuccess);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
