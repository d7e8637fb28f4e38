#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "emulator.h"
#include "fovea/core/check.h"

// Memory, streams and graphs of the emulated device.

using Work = std::vector<std::function<void()>>;

struct EmulatedStream {
  Work* recording = nullptr;    // while it is being captured
  bool is_invalidated = false;  // the capture, by what cannot be recorded
};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;  // when it was recorded
};
struct EmulatedGraph {
  Work work;
};
struct EmulatedGraphExec {
  Work work;
};

namespace fovea::emulator {
namespace {

constexpr size_t kDeviceBytes = size_t{8} << 30;  // of addresses; memory is taken when it is touched
constexpr int kMultiprocessors = 4, kCacheBytes = 1 << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kAlignment = 256;
constexpr size_t kGuardBytes = 256;
constexpr unsigned char kPoison = 0xFF;

#if defined(__SANITIZE_ADDRESS__)
void forbid(const void* pointer, size_t bytes) {
  __asan_poison_memory_region(pointer, bytes);
}
void permit(const void* pointer, size_t bytes) {
  __asan_unpoison_memory_region(pointer, bytes);
}
#else
void forbid(const void*, size_t) {}
void permit(const void*, size_t) {}
#endif

class Memory {
 public:
  Memory() {
    void* addresses = mmap(nullptr, kDeviceBytes + kHugePage, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check<DeviceError>(addresses != MAP_FAILED, "emulator: no addresses for the device's memory");
    base_ = static_cast<unsigned char*>(addresses);
    base_ += (kHugePage - reinterpret_cast<uintptr_t>(base_) % kHugePage) % kHugePage;
    // Opening and closing touches every page that is in use.
    madvise(base_, kDeviceBytes, MADV_HUGEPAGE);
    free_.emplace(0, kDeviceBytes);
  }

  void* allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const DeviceMemoryAccess access;
    const size_t wanted =
        (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment + kGuardBytes;
    const auto place =
        std::find_if(free_.begin(), free_.end(), [&](const auto& range) { return range.second >= wanted; });
    if (place == free_.end()) return nullptr;
    const auto [begin, size] = *place;
    free_.erase(place);
    if (size > wanted) free_.emplace(begin + wanted, size - wanted);
    used_.emplace(begin, std::pair(bytes, wanted));
    grow(begin + wanted);
    permit(base_ + begin, wanted);
    std::memset(base_ + begin, kPoison, bytes);
    for (unsigned char* byte = base_ + begin + bytes; byte < base_ + begin + wanted; ++byte) {
      *byte = guard_byte(byte);
    }
    forbid(base_ + begin + bytes, wanted - bytes);
    return base_ + begin;
  }

  bool release(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto used = used_.find(static_cast<size_t>(static_cast<unsigned char*>(pointer) - base_));
    if (used == used_.end()) return false;
    size_t begin = used->first, size = used->second.second;
    used_.erase(used);
    forbid(base_ + begin, size);
    const auto after = free_.lower_bound(begin);
    if (after != free_.end() && after->first == begin + size) {
      size += after->second;
      free_.erase(after);
    }
    const auto next = free_.lower_bound(begin);
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == begin) {
        begin = before->first;
        size += before->second;
        free_.erase(before);
      }
    }
    free_.emplace(begin, size);
    return true;
  }

  bool contains(const void* pointer) const { return pointer >= base_ && pointer < base_ + kDeviceBytes; }

  size_t bytes_free() {
    const std::lock_guard lock(mutex_);
    size_t sum = 0;
    for (const auto& [begin, size] : free_) sum += size;
    return sum;
  }

  /// The address sanitizer sees such a write at once; without it the guards tell afterwards.
  bool guards_are_intact() {
    const std::lock_guard lock(mutex_);
#if !defined(__SANITIZE_ADDRESS__)
    for (const auto& [begin, sizes] : used_) {
      const unsigned char* end = base_ + begin + sizes.second;
      for (const unsigned char* byte = base_ + begin + sizes.first; byte < end; ++byte) {
        if (*byte != guard_byte(byte)) return false;
      }
    }
#endif
    return true;
  }

  void open() {
    const std::lock_guard lock(access_mutex_);
    if (accesses_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(access_mutex_);
    if (--accesses_ == 0) protect(PROT_NONE);
  }

 private:
  void protect(int rights) const {
    if (high_water_ > 0) mprotect(base_, high_water_, rights);
  }
  void grow(size_t end) {
    if (end <= high_water_) return;
    high_water_ = std::min((end + kHugePage - 1) / kHugePage * kHugePage, kDeviceBytes);
    protect(PROT_READ | PROT_WRITE);  // allocate holds a DeviceMemoryAccess
  }

  unsigned char* base_;
  std::mutex mutex_, access_mutex_;
  std::map<size_t, size_t> free_;                     // begin -> size
  std::map<size_t, std::pair<size_t, size_t>> used_;  // begin -> (bytes asked for, with what follows)
  size_t high_water_ = 0;                             // no byte beyond was ever in use
  int accesses_ = 0;
};

Memory& memory() {
  static auto* own = new Memory;
  return *own;
}

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

DeviceMemoryAccess::DeviceMemoryAccess() {
  memory().open();
}
DeviceMemoryAccess::~DeviceMemoryAccess() {
  memory().close();
}

bool is_device_pointer(const void* pointer) {
  return pointer == nullptr || memory().contains(pointer);
}

void check_memory_guards(const char* operation) {
  check(memory().guards_are_intact(), operation, ": a write beside a block of device memory");
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

void submit(cudaStream_t stream, std::function<void()> work) {
  if (stream != nullptr && stream->recording != nullptr) {
    stream->recording->push_back(std::move(work));
  } else {
    work();
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
  // Few multiprocessors: loops over more work than one grid has are reached with small tensors.
  *value = attribute == cudaDevAttrMultiProcessorCount ? emulator::kMultiprocessors : emulator::kCacheBytes;
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
  emulator::submit(stream, [=] {
    const emulator::DeviceMemoryAccess access;
    std::memmove(to, from, bytes);
  });
  return remember(cudaSuccess);
}
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  emulator::submit(stream, [=] {
    const emulator::DeviceMemoryAccess access;
    std::memset(pointer, value, bytes);
  });
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
  stream->recording = new Work;
  return remember(cudaSuccess);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream == nullptr || stream->recording == nullptr) return remember(cudaErrorInvalidValue);
  const std::unique_ptr<Work> work(std::exchange(stream->recording, nullptr));
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
  for (const auto& work : executable->work) emulator::submit(stream, work);
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
