#include "fovea/core/caching_allocator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/environment.h"

namespace fovea {
namespace {

constexpr size_t kAlignment = 64;
// The alignment of CUDA's own blocks: cuBLAS refuses a workspace with less.
constexpr size_t kGuardBytes = 256;
constexpr unsigned char kGuardByte = 0x7F;  // 3e38 in f32 and bf16, NaN in f16: what reads it shows
constexpr unsigned char kPoisonByte = 0xFF;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Rounds up to a size class: eight classes for each power of two, so that at most 1/8 is wasted.
size_t size_class(size_t bytes) {
  if (bytes <= 512) return std::max(aligned(bytes), kAlignment);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

}  // namespace

CachingAllocator::CachingAllocator() : keeps_memory_(environment("FOVEA_KEEP_MEMORY") != "0") {}

void* CachingAllocator::allocate(size_t bytes) {
  const size_t wanted = held_for(bytes);
  std::lock_guard lock(mutex_);
  // A guarded block goes back at once, and what is recorded needs its memory as long as it is replayed.
  const bool is_guarded = guards_ > 0 && keeps_memory_ && open_pool_ == 0;
  void* pointer = is_guarded ? guarded(bytes) : reused_or_new(wanted);
  if (pointer == nullptr) {
    throw OutOfMemory(str("allocate: no memory for ", bytes, " bytes ", place(), ": ", stats_.in_use,
                          " bytes are in use and ", stats_locked().cached,
                          " cached; try a smaller batch size"));
  }
  stats_.in_use += static_cast<int64_t>(wanted);
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  return pointer;
}

void CachingAllocator::deallocate(void* pointer, size_t bytes) noexcept {
  const size_t held = held_for(bytes);
  std::lock_guard lock(mutex_);
  stats_.in_use -= static_cast<int64_t>(held);
  if (const auto guard = guarded_.find(pointer); guard != guarded_.end()) {
    // While a graph is recorded nothing can be read.
    if (open_pool_ == 0) {
      release_guarded(guard);
    } else {
      guard->second.is_freed = true;
    }
    return;
  }
  const auto pool = pool_of_.find(pointer);
  // While a graph is recorded, nothing goes back: what is recorded so far may refer to it.
  if (pool == pool_of_.end() && open_pool_ == 0 && (!keeps_memory_ || is_kept_below(held))) {
    to_system(pointer);
    return;
  }
  try {
    pools_[pool == pool_of_.end() ? 0 : pool->second][held].push_back(pointer);
    stats_.cached += static_cast<int64_t>(held);
  } catch (const std::bad_alloc&) {
    if (pool != pool_of_.end()) pool_of_.erase(pool);
    to_system(pointer);
  }
}

MemoryStats CachingAllocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_locked();
}

void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak = stats_.in_use;
}

void CachingAllocator::release_cached() {
  std::lock_guard lock(mutex_);
  if (open_pool_ == 0) release_cached_locked();
}

void CachingAllocator::add_guard(int count) {
  std::lock_guard lock(mutex_);
  guards_ += count;
}

int64_t CachingAllocator::violations() const {
  std::lock_guard lock(mutex_);
  return violations_;
}

int64_t CachingAllocator::unread_guards() const {
  std::lock_guard lock(mutex_);
  return unread_guards_;
}

int CachingAllocator::open_pool() {
  std::lock_guard lock(mutex_);
  if (open_pool_ != 0) return 0;
  open_pool_ = ++pools_made_;
  return open_pool_;
}

void CachingAllocator::close_pool() {
  std::lock_guard lock(mutex_);
  open_pool_ = 0;
  for (auto guard = guarded_.begin(); guard != guarded_.end();) {
    guard = guard->second.is_freed ? release_guarded(guard) : std::next(guard);
  }
  if (!keeps_memory_) release_cached_locked();
}

void CachingAllocator::drop_pool(int pool) {
  std::lock_guard lock(mutex_);
  for (auto& [bytes, blocks] : pools_[pool]) {
    std::vector<void*>& to_all = pools_[0][bytes];
    to_all.insert(to_all.end(), blocks.begin(), blocks.end());
  }
  pools_.erase(pool);
  if (!keeps_memory_ && open_pool_ == 0) release_cached_locked();
  std::erase_if(pool_of_, [pool](const auto& entry) { return entry.second == pool; });
}

/// What a request for `bytes` bytes gets.
size_t CachingAllocator::held_for(size_t bytes) const {
  return keeps_memory_ ? size_class(bytes) : std::max<size_t>(bytes, 1);
}

void* CachingAllocator::reused_or_new(size_t bytes) {
  FreeBlocks& free = pools_[open_pool_];
  if (const auto blocks = free.find(bytes); blocks != free.end() && !blocks->second.empty()) {
    void* pointer = blocks->second.back();
    blocks->second.pop_back();
    stats_.cached -= static_cast<int64_t>(bytes);
    return pointer;
  }
  void* pointer = from_system(bytes);
  // Not while a graph is recorded: the system would wait for kernels that do not run.
  if (pointer == nullptr && open_pool_ == 0) {
    release_cached_locked();
    pointer = from_system(bytes);
  }
  if (pointer == nullptr || open_pool_ == 0) return pointer;
  try {
    pool_of_.emplace(pointer, open_pool_);
    return pointer;
  } catch (const std::bad_alloc&) {
    to_system(pointer);
    return nullptr;
  }
}

MemoryStats CachingAllocator::stats_locked() const {
  MemoryStats stats = stats_;
  stats.cached += static_cast<int64_t>(kept_below());
  return stats;
}

/// Blocks of a pool that was recorded stay: they will be written again.
void CachingAllocator::release_cached_locked() {
  for (auto& [bytes, blocks] : pools_[0]) {
    for (void* pointer : blocks) to_system(pointer);
    stats_.cached -= static_cast<int64_t>(bytes * blocks.size());
  }
  pools_[0].clear();
  release_kept_below();
}

void* CachingAllocator::guarded(size_t bytes) {
  const size_t inside = aligned(bytes);
  auto* block = static_cast<unsigned char*>(from_system(inside + 2 * kGuardBytes));
  if (block == nullptr) return nullptr;
  try {
    fill(block, kGuardByte, inside + 2 * kGuardBytes);
    fill(block + kGuardBytes, kPoisonByte, bytes);
    guarded_.emplace(block + kGuardBytes, Guarded{bytes});
  } catch (...) {
    to_system(block);
    throw;
  }
  return block + kGuardBytes;
}

CachingAllocator::GuardedBlocks::iterator CachingAllocator::release_guarded(
    GuardedBlocks::iterator guard) noexcept {
  auto* inside = static_cast<unsigned char*>(guard->first);
  const size_t bytes = guard->second.bytes;
  bool is_read = true;
  const auto is_overwritten = [&](const unsigned char* begin, size_t count) {
    unsigned char found[2 * kGuardBytes] = {};
    if (!read(begin, count, found)) return is_read = false;
    return !std::all_of(found, found + count, [](unsigned char byte) { return byte == kGuardByte; });
  };
  if (is_overwritten(inside - kGuardBytes, kGuardBytes) ||
      is_overwritten(inside + bytes, aligned(bytes) - bytes + kGuardBytes)) {
    ++violations_;
  } else if (!is_read) {
    ++unread_guards_;
  }
  to_system(inside - kGuardBytes);
  return guarded_.erase(guard);
}

}  // namespace fovea
