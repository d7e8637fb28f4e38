#include "fovea/core/cuda/allocator.h"

#include <map>
#include <mutex>

#include "fovea/core/cuda/runtime.h"
#include "fovea/core/cuda_backend.h"

namespace fovea::cuda {
namespace {

class CudaAllocator : public CachingAllocator {
 public:
  explicit CudaAllocator(int device) : device_(device) {}

 private:
  void* from_system(size_t bytes) override {
    use_device(device_);
    void* pointer = nullptr;
    if (cudaMalloc(&pointer, bytes) != cudaSuccess) {
      cudaGetLastError();  // answered by null
      return nullptr;
    }
    return pointer;
  }
  void to_system(void* block) noexcept override {
    const int before = current_device();
    if (before != device_) cudaSetDevice(device_);
    // Kernels that are still to run may use it; cudaFree waits for them.
    cudaFree(block);
    if (before != device_) cudaSetDevice(before);
  }
  void fill(void* block, unsigned char byte, size_t bytes) override {
    use_device(device_);
    check_cuda(cudaMemsetAsync(block, byte, bytes, current_stream()), "allocate: fill");
  }
  void read(const void* block, size_t bytes, unsigned char* host) noexcept override {
    cudaMemcpyAsync(host, block, bytes, cudaMemcpyDefault, current_stream());
    cudaStreamSynchronize(current_stream());
  }
  std::string place() const override {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    return str("on ", Device::cuda(device_), " (", free, " of ", total, " bytes are free)");
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
  Allocators& all = allocators();
  std::lock_guard lock(all.mutex);
  int64_t sum = 0;
  for (const auto& [device, allocator] : all.by_device) sum += allocator.violations();
  return sum;
}

}  // namespace fovea::cuda
