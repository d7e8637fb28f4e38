#pragma once

#include <cstddef>
#include <cstdint>

#include "fovea/core/device.h"

#pragma GCC visibility push(default)
namespace fovea {

/// Bytes that the caching allocator of a device has handed out and keeps.
struct MemoryStats {
  int64_t in_use = 0;  // handed out now
  int64_t peak = 0;    // the most handed out at once since reset_peak_memory
  int64_t cached = 0;  // freed by tensors and kept for the next request
};

/// `bytes` bytes, aligned to 64, uninitialised; freed blocks of the same size class are reused.
/// OutOfMemory says how much was wanted and how much is in use when there is no memory left.
void* allocate(size_t bytes, Device device);
/// Gives a block back to the cache; `bytes` as in the request.
void deallocate(void* pointer, size_t bytes, Device device) noexcept;

MemoryStats memory_stats(Device device = Device::cpu());
void reset_peak_memory(Device device = Device::cpu());
/// The most memory taken at once: on the CPU the peak resident size of the process, everything in it
/// included; on a CUDA device what the allocator had handed out since reset_peak_memory, which does not count
/// what a captured graph keeps while it is not recorded.
int64_t peak_memory_bytes(Device device);
/// Returns the cached blocks to the system.
void release_cached_memory(Device device = Device::cpu());

/// For tests: while one lives, new blocks are filled with 0xFF (NaN in every floating dtype) and stand
/// between guard bytes; `violations` counts blocks whose guard had been overwritten when they were freed,
/// `unread` those whose guard a device could not give any more, so that nothing is known of them.
class AllocatorGuard {
 public:
  AllocatorGuard();
  ~AllocatorGuard();
  AllocatorGuard(const AllocatorGuard&) = delete;
  AllocatorGuard& operator=(const AllocatorGuard&) = delete;
  static int64_t violations();
  static int64_t unread();
};

}  // namespace fovea
#pragma GCC visibility pop
