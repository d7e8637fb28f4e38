#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "fovea/core/allocator.h"

namespace fovea {

/// Keeps freed blocks by size class for the next request. What is common to the allocators of all devices;
/// an implementation says how to get memory from the system. Safe to use from several threads.
/// With FOVEA_KEEP_MEMORY=0 in the environment nothing is kept, and blocks are not guarded: each is one of
/// the system's, for programs that watch those (compute-sanitizer, the address sanitizer).
class CachingAllocator {
 public:
  CachingAllocator();
  virtual ~CachingAllocator() = default;
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// See fovea::allocate.
  void* allocate(size_t bytes);
  void deallocate(void* pointer, size_t bytes) noexcept;
  MemoryStats stats() const;
  void reset_peak();
  /// Between the two no other thread gets or gives back anything: see ForkLock.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  /// Does nothing until close_pool: what is recorded may refer to the blocks.
  void release_cached();

  /// See AllocatorGuard: `count` more of them live.
  void add_guard(int count);
  int64_t violations() const;
  int64_t unread_guards() const;

  /// Until close_pool, nothing goes back to the system, and blocks come from a pool of their own, to which
  /// they return: nothing that is requested later can get them. For what is replayed with the addresses that
  /// it was recorded with. 0, which is no such pool, if one is open already.
  int open_pool();
  void close_pool();
  /// Gives the blocks of a pool to all again.
  void drop_pool(int pool);

 protected:
  /// False with FOVEA_KEEP_MEMORY=0.
  bool keeps_memory() const { return keeps_memory_; }
  /// `bytes` bytes aligned to 64, or null if there is no memory.
  virtual void* from_system(size_t bytes) = 0;
  virtual void to_system(void* block) noexcept = 0;
  /// Whether such blocks go back at once, because what is below keeps their memory itself, and joins it.
  virtual bool is_kept_below(size_t /*bytes*/) const { return false; }
  /// Bytes that are kept there.
  virtual size_t kept_below() const { return 0; }
  virtual void release_kept_below() {}
  virtual void fill(void* block, unsigned char byte, size_t bytes) = 0;
  /// Whether it could.
  virtual bool read(const void* block, size_t bytes, unsigned char* host) noexcept = 0;
  /// For the message when there is no memory left: "on the CPU".
  virtual std::string place() const = 0;

 private:
  using FreeBlocks = std::map<size_t, std::vector<void*>>;  // by size class
  struct Guarded {
    size_t bytes;  // asked for
    bool is_freed = false;
  };
  using GuardedBlocks = std::unordered_map<void*, Guarded>;

  size_t held_for(size_t bytes) const;
  void* reused_or_new(size_t bytes);
  MemoryStats stats_locked() const;
  void release_cached_locked();
  void* guarded(size_t bytes);
  /// The next one.
  GuardedBlocks::iterator release_guarded(GuardedBlocks::iterator guard) noexcept;

  mutable std::mutex mutex_;
  const bool keeps_memory_;
  std::map<int, FreeBlocks> pools_;         // 0: for all
  std::unordered_map<void*, int> pool_of_;  // of the blocks of other pools
  GuardedBlocks guarded_;
  MemoryStats stats_;
  int64_t violations_ = 0;
  int64_t unread_guards_ = 0;
  int guards_ = 0;
  int open_pool_ = 0;
  int pools_made_ = 0;
};

}  // namespace fovea
