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

/// Variables of the device: begin -> bytes.
struct Variables {
  std::mutex mutex;
  std::map<uintptr_t, size_t> places;
};
Variables& variables() {
  static auto* own = new Variables;
  return *own;
}

bool is_variable(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const std::lock_guard lock(variables().mutex);
  const auto after = variables().places.upper_bound(address);
  return after != variables().places.begin() && address < std::prev(after)->first + std::prev(after)->second;
}

/// Whether the device can read and write there.
bool is_device_memory(const void* pointer) {
  return memory().contains(pointer) || is_variable(pointer);
}

/// Whether so many bytes can be read or written from there on; of the CPU's memory nothing is known.
bool has_room(const void* pointer, size_t bytes) {
  if (bytes == 0) return true;
  if (!memory().contains(pointer)) return pointer != nullptr;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const MemoryBlock block = memory().block_of(address);
  return address + bytes <= block.begin + block.bytes;
}

bool is_kind(cudaMemcpyKind kind, bool from_device, bool to_device) {
  switch (kind) {
    case cudaMemcpyHostToHost: return !from_device && !to_device;
    case cudaMemcpyHostToDevice: return !from_device && to_device;
    case cudaMemcpyDeviceToHost: return from_device && !to_device;
    case cudaMemcpyDeviceToDevice: return from_device && to_device;
    case cudaMemcpyDefault: return true;
  }
  return false;
}

}  // namespace

cudaError_t remember(cudaError_t error) {
  if (device_error != cudaSuccess) error = device_error;
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool is_device_pointer(const void* pointer) {
  return pointer == nullptr || is_device_memory(pointer);
}

void note_variable(const void* address, size_t bytes) {
  const std::lock_guard lock(variables().mutex);
  variables().places[reinterpret_cast<uintptr_t>(address)] = bytes;
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

const Capability& capability() {
  // Of shared memory what a block may have (CUDA C++ Programming Guide, "Technical Specifications per Compute
  // Capability").
  static constexpr Capability kKnown[] = {
      {7, 5, 64 << 10}, {8, 0, 163 << 10}, {8, 6, 99 << 10}, {8, 9, 99 << 10}, {9, 0, 227 << 10}};
  static const Capability& chosen = []() -> const Capability& {
    const std::string text = environment("FOVEA_EMULATED_CAPABILITY");
    for (const Capability& one : kKnown) {
      if (text == str(one.major, ".", one.minor)) return one;
    }
    check<UsageError>(text.empty(), "FOVEA_EMULATED_CAPABILITY: wanted 7.5, 8.0, 8.6, 8.9 or 9.0, found '",
                      text, "'");
    return *std::prev(std::end(kKnown));
  }();
  return chosen;
}

}  // namespace fovea::emulator

namespace emulator = fovea::emulator;
using emulator::remember;

cudaError_t cudaGetLastError() {
  emulator::remember(cudaSuccess);
  return std::exchange(emulator::last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  emulator::remember(cudaSuccess);
  return emulator::last_error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulator::device_count;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = emulator::current_device();
  return remember(cudaSuccess);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulator::device_count) return remember(cudaErrorInvalidDevice);
  emulator::current_device() = device;
  return remember(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const emulator::Capability& capability = emulator::capability();
  *properties = {.name = "emulated on the CPU",
                 .totalGlobalMem = emulator::kDeviceBytes,
                 .sharedMemPerBlock = emulator::kUnaskedShared,
                 .sharedMemPerBlockOptin = capability.shared_bytes,
                 .major = capability.major,
                 .minor = capability.minor,
                 .multiProcessorCount = emulator::multiprocessors(),
                 .l2CacheSize = emulator::kCacheBytes,
                 .warpSize = emulator::kWarp,
                 .maxThreadsPerBlock = 1024};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = emulator::multiprocessors(); break;
    case cudaDevAttrL2CacheSize: *value = emulator::kCacheBytes; break;
    case cudaDevAttrComputeCapabilityMajor: *value = emulator::capability().major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = emulator::capability().minor; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(emulator::capability().shared_bytes);
      break;
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
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool to_device = emulator::is_device_memory(to), from_device = emulator::is_device_memory(from);
  if (!emulator::is_kind(kind, from_device, to_device) || !emulator::has_room(to, bytes) ||
      !emulator::has_room(from, bytes)) {
    return remember(cudaErrorInvalidValue);
  }
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
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return status == cudaSuccess ? cudaStreamSynchronize(nullptr) : status;
}
cudaError_t cudaMemset(void* pointer, int value, size_t bytes) {
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  if (!emulator::is_device_memory(pointer) || !emulator::has_room(pointer, bytes)) {
    return remember(cudaErrorInvalidValue);
  }
  const auto run = [=] {
    const emulator::DeviceMemoryAccess access;
    std::memset(pointer, value, bytes);
  };
  emulator::submit(stream, {"fill", run, 0, static_cast<int64_t>(bytes)});
  return remember(cudaSuccess);
}
