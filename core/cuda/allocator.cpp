#include "fovea/core/cuda/allocator.h"

#include <map>
#include <mutex>

#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/fork.h"

namespace fovea::cuda {
namespace {

class CudaAllocator : public CachingAllocator {
 public:
  explicit CudaAllocator(int device) : device_(device) {}

 private:
  void* from_system(size_t bytes) override {
    const DeviceScope scope(device_);
    void* pointer = nullptr;
    const cudaError_t status = status_of(scope, [&] { return cudaMalloc(&pointer, bytes); });
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // answered by null
      return nullptr;
    }
    check_cuda(status, "allocate", ": ", bytes, " bytes on ", Device::cuda(device_));
    return pointer;
  }
  void to_system(void* block) noexcept override {
    const DeviceScope scope(device_);
    // Kernels that are still to run may use it; cudaFree waits for them. A device that fails meanwhile
    // answers the next call with the same error.
    if (status_of(scope, [&] { return cudaFree(block); }) != cudaSuccess) cudaGetLastError();
  }
  void fill(void* block, unsigned char byte, size_t bytes) override {
    const DeviceScope scope(device_);
    check_cuda(status_of(scope, [&] { return cudaMemsetAsync(block, byte, bytes, current_stream()); }),
               "allocate: fill");
  }
  bool read(const void* block, size_t bytes, unsigned char* host) noexcept override {
    const DeviceScope scope(device_);
    const cudaError_t status = status_of(scope, [&] {
      // fill has made the stream: asking for it cannot fail any more.
      const cudaStream_t stream = current_stream();
      const cudaError_t copied = cudaMemcpyAsync(host, block, bytes, cudaMemcpyDefault, stream);
      return copied == cudaSuccess ? cudaStreamSynchronize(stream) : copied;
    });
    if (status != cudaSuccess) cudaGetLastError();  // answered by false
    return status == cudaSuccess;
  }
  std::string place() const override {
    const DeviceScope scope(device_);
    size_t free = 0, total = 0;
    if (status_of(scope, [&] { return cudaMemGetInfo(&free, &total); }) != cudaSuccess) {
      cudaGetLastError();
      return str("on ", Device::cuda(device_));
    }
    return str("on ", Device::cuda(device_), " (", free, " of ", total, " bytes are free)");
  }

  /// The status of `call` on the scope's device, or why that could not be made current.
  template <class Call>
  static cudaError_t status_of(const DeviceScope& scope, const Call& call) {
    return scope.status() == cudaSuccess ? call() : scope.status();
  }

  int device_;
};

/// Never destroyed, as on the CPU.
struct Allocators {
  std::mutex mutex;
  std::map<int, CudaAllocator> by_device;
  int guards = 0;
};

Allocators& allocators() {
  static auto* all = new Allocators;
  return *all;
}

/// A child cannot use the device, but it frees what lies there.
const ForkLock fork_lock{ForkOrder::cuda_memory,
                         [] {
                           allocators().mutex.lock();
                           for (auto& [device, allocator] : allocators().by_device) allocator.lock();
                         },
                         [] {
                           for (auto& [device, allocator] : allocators().by_device) allocator.unlock();
                           allocators().mutex.unlock();
                         }};

template <class Count>
int64_t sum_over_devices(const Count& count) {
  Allocators& all = allocators();
  std::lock_guard lock(all.mutex);
  int64_t sum = 0;
  for (const auto& [device, allocator] : all.by_device) sum += count(allocator);
  return sum;
}

}  // namespace

CachingAllocator& allocator_of(int device) {
  Allocators& all = allocators();
  std::lock_guard lock(all.mutex);
  const auto [place, is_new] = all.by_device.try_emplace(device, device);
  if (is_new) place->second.add_guard(all.guards);
  return place->second;
}

void* allocate(size_t bytes, int device) {
  return allocator_of(device).allocate(bytes);
}
void deallocate(void* pointer, size_t bytes, int device) noexcept {
  allocator_of(device).deallocate(pointer, bytes);
}
MemoryStats memory_stats(int device) {
  return allocator_of(device).stats();
}
void reset_peak_memory(int device) {
  allocator_of(device).reset_peak();
}
void release_cached_memory(int device) {
  allocator_of(device).release_cached();
}

void add_guard(int count) {
  Allocators& all = allocators();
  std::lock_guard lock(all.mutex);
  all.guards += count;
  for (auto& [device, allocator] : all.by_device) allocator.add_guard(count);
}

int64_t guard_violations() {
  return sum_over_devices([](const CachingAllocator& allocator) { return allocator.violations(); });
}
int64_t unread_guards() {
  return sum_over_devices([](const CachingAllocator& allocator) { return allocator.unread_guards(); });
}

}  // namespace fovea::cuda
