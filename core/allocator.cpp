#include "fovea/core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "fovea/core/check.h"

namespace fovea {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kGuardBytes = 64;
constexpr unsigned char kGuardByte = 0xA5;
constexpr unsigned char kPoisonByte = 0xFF;

/// Rounds up to a size class: eight classes for each power of two, so that at most 1/8 is wasted.
size_t size_class(size_t bytes) {
  if (bytes <= 512) return std::max<size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

class CpuAllocator {
 public:
  void* allocate(size_t bytes) {
    const size_t wanted = size_class(bytes);
    std::lock_guard lock(mutex_);
    void* pointer = guards_ > 0 ? guarded(bytes) : reused_or_new(wanted);
    if (pointer == nullptr) {
      throw DeviceError(str("allocate: no memory for ", bytes, " bytes on the CPU: ", stats_.in_use,
                            " bytes are in use and ", stats_.cached, " cached; try a smaller batch size"));
    }
    stats_.in_use += static_cast<int64_t>(wanted);
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return pointer;
  }

  void deallocate(void* pointer, size_t bytes) noexcept {
    const size_t held = size_class(bytes);
    std::lock_guard lock(mutex_);
    stats_.in_use -= static_cast<int64_t>(held);
    if (const auto guard = guarded_.find(pointer); guard != guarded_.end()) {
      release_guarded(guard->first, guard->second);
      guarded_.erase(guard);
      return;
    }
    try {
      free_[held].push_back(pointer);
      stats_.cached += static_cast<int64_t>(held);
    } catch (const std::bad_alloc&) {
      std::free(pointer);
    }
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

  void release_cached() {
    std::lock_guard lock(mutex_);
    release_cached_locked();
  }

  void add_guard(int count) {
    std::lock_guard lock(mutex_);
    guards_ += count;
  }

  int64_t violations() {
    std::lock_guard lock(mutex_);
    return violations_;
  }

 private:
  void* reused_or_new(size_t bytes) {
    if (const auto blocks = free_.find(bytes); blocks != free_.end() && !blocks->second.empty()) {
      void* pointer = blocks->second.back();
      blocks->second.pop_back();
      stats_.cached -= static_cast<int64_t>(bytes);
      return pointer;
    }
    void* pointer = from_system(bytes);
    if (pointer == nullptr) {
      release_cached_locked();
      pointer = from_system(bytes);
    }
    return pointer;
  }

  static void* from_system(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    void* pointer = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    // Large tensors are streamed through: huge pages save most of the page faults and TLB misses.
    if (pointer != nullptr && bytes >= kHugePage) madvise(pointer, bytes, MADV_HUGEPAGE);
    return pointer;
  }

  void release_cached_locked() {
    for (auto& [bytes, blocks] : free_) {
      for (void* pointer : blocks) std::free(pointer);
    }
    free_.clear();
    stats_.cached = 0;
  }

  void* guarded(size_t bytes) {
    const size_t inside = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    auto* block = static_cast<unsigned char*>(std::aligned_alloc(kAlignment, inside + 2 * kGuardBytes));
    if (block == nullptr) return nullptr;
    std::memset(block, kGuardByte, inside + 2 * kGuardBytes);
    std::memset(block + kGuardBytes, kPoisonByte, bytes);
    guarded_.emplace(block + kGuardBytes, bytes);
    return block + kGuardBytes;
  }

  void release_guarded(void* pointer, size_t bytes) {
    auto* inside = static_cast<unsigned char*>(pointer);
    const size_t after = (bytes + kAlignment - 1) / kAlignment * kAlignment - bytes + kGuardBytes;
    const auto intact = [](const unsigned char* begin, size_t count) {
      return std::all_of(begin, begin + count, [](unsigned char byte) { return byte == kGuardByte; });
    };
    if (!intact(inside - kGuardBytes, kGuardBytes) || !intact(inside + bytes, after)) ++violations_;
    std::free(inside - kGuardBytes);
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // size class -> blocks
  std::unordered_map<void*, size_t> guarded_;  // block -> bytes asked for
  MemoryStats stats_;
  int64_t violations_ = 0;
  int guards_ = 0;
};

/// Never destroyed, so that tensors with static storage can be freed at any time.
CpuAllocator& cpu_allocator() {
  static auto* allocator = new CpuAllocator;
  return *allocator;
}

CpuAllocator& allocator_of(Device device) {
  check<DeviceError>(device.is_cpu(), "allocate: ", device, " cannot be used: ", cuda_status().reason);
  return cpu_allocator();
}

}  // namespace

void* allocate(size_t bytes, Device device) {
  return allocator_of(device).allocate(bytes);
}

void deallocate(void* pointer, size_t bytes, Device device) noexcept {
  allocator_of(device).deallocate(pointer, bytes);
}

MemoryStats memory_stats(Device device) {
  return allocator_of(device).stats();
}
void reset_peak_memory(Device device) {
  allocator_of(device).reset_peak();
}
void release_cached_memory(Device device) {
  allocator_of(device).release_cached();
}

AllocatorGuard::AllocatorGuard() {
  cpu_allocator().add_guard(1);
}
AllocatorGuard::~AllocatorGuard() {
  cpu_allocator().add_guard(-1);
}
int64_t AllocatorGuard::violations() {
  return cpu_allocator().violations();
}

}  // namespace fovea
