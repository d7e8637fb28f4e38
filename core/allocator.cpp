#include "fovea/core/allocator.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "fovea/core/caching_allocator.h"
#include "fovea/core/check.h"
#include "fovea/core/cuda_backend.h"
#include "fovea/core/fork.h"
#include "fovea/core/large_blocks.h"

namespace fovea {
namespace {

/// From here on blocks come from LargeBlocks. Nearly all that a training step uses at once is in such blocks,
/// so that what is kept by size class hardly counts.
#if defined(__has_feature)
#define FOVEA_HAS_FEATURE(name) __has_feature(name)
#else
#define FOVEA_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || FOVEA_HAS_FEATURE(address_sanitizer)
// It sees what is written outside of a block of malloc.
constexpr size_t kLargeBlock = std::numeric_limits<size_t>::max();
#else
constexpr size_t kLargeBlock = size_t{64} << 10;
#endif

class CpuAllocator : public CachingAllocator {
  static constexpr size_t kAlignment = 64;

  void* from_system(size_t bytes) override {
    void* pointer = keeps_memory() && bytes >= kLargeBlock ? large_.take(bytes) : nullptr;
    if (pointer != nullptr || posix_memalign(&pointer, kAlignment, bytes) == 0) return pointer;
    return nullptr;
  }
  void to_system(void* block) noexcept override {
    if (!large_.put_back(block)) std::free(block);
  }
  bool is_kept_below(size_t bytes) const override { return bytes >= kLargeBlock; }
  size_t kept_below() const override { return large_.kept(); }
  void release_kept_below() override { large_.release(); }
  void fill(void* block, unsigned char byte, size_t bytes) override { std::memset(block, byte, bytes); }
  bool read(const void* block, size_t bytes, unsigned char* host) noexcept override {
    std::memcpy(host, block, bytes);
    return true;
  }
  std::string place() const override { return "on the CPU"; }

  /// Large, so that few blocks end at a segment's end; but where address space is limited (ulimit -v) much of
  /// it must be left for all others: at most a segment stands empty.
  static size_t segment_bytes() {
    constexpr size_t kMost = size_t{1} << 30, kStep = size_t{2} << 20;
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMost;
    return std::clamp<size_t>(limit.rlim_cur / 32 / kStep * kStep, kStep, kMost);
  }

  LargeBlocks large_{segment_bytes()};
};

/// Never destroyed, so that tensors with static storage can be freed at any time.
CpuAllocator& cpu_allocator() {
  static auto* allocator = new CpuAllocator;
  return *allocator;
}

const ForkLock fork_lock{ForkOrder::cpu_memory, [] { cpu_allocator().lock(); },
                         [] { cpu_allocator().unlock(); }};

}  // namespace

void* allocate(size_t bytes, Device device) {
  if (device.is_cpu()) return cpu_allocator().allocate(bytes);
  check_usable("allocate", device);
  return cuda::allocate(bytes, device.index);
}

void deallocate(void* pointer, size_t bytes, Device device) noexcept {
  if (device.is_cpu()) {
    cpu_allocator().deallocate(pointer, bytes);
  } else {
    cuda::deallocate(pointer, bytes, device.index);
  }
}

MemoryStats memory_stats(Device device) {
  check_usable("memory_stats", device);
  return device.is_cpu() ? cpu_allocator().stats() : cuda::memory_stats(device.index);
}

void reset_peak_memory(Device device) {
  check_usable("reset_peak_memory", device);
  if (device.is_cpu()) {
    cpu_allocator().reset_peak();
  } else {
    cuda::reset_peak_memory(device.index);
  }
}

int64_t peak_memory_bytes(Device device) {
  if (device.is_cuda()) return memory_stats(device).peak;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

void release_cached_memory(Device device) {
  check_usable("release_cached_memory", device);
  if (device.is_cpu()) {
    cpu_allocator().release_cached();
  } else {
    cuda::release_cached_memory(device.index);
  }
}

AllocatorGuard::AllocatorGuard() {
  cpu_allocator().add_guard(1);
  if (cuda_status().device_count > 0) cuda::add_guard(1);
}
AllocatorGuard::~AllocatorGuard() {
  cpu_allocator().add_guard(-1);
  if (cuda_status().device_count > 0) cuda::add_guard(-1);
}
int64_t AllocatorGuard::violations() {
  return cpu_allocator().violations() + (cuda_status().device_count > 0 ? cuda::guard_violations() : 0);
}
int64_t AllocatorGuard::unread() {
  return cpu_allocator().unread_guards() + (cuda_status().device_count > 0 ? cuda::unread_guards() : 0);
}

}  // namespace fovea
