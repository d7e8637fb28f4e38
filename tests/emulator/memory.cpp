#include "memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "emulator.h"
#include "fovea/core/check.h"

namespace fovea::emulator {
namespace {

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

size_t rounded_up(size_t count, size_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

/// What the signal handler needs to know.
struct Watch {
  unsigned char *begin = nullptr, *end = nullptr;  // none: nothing is watched
  PageAccess* accesses = nullptr;                  // room for a million
  size_t count = 0;
  struct sigaction before {};
};
Watch watch;
constexpr size_t kMostAccesses = size_t{1} << 20;

#if defined(__x86_64__)
constexpr bool kCanWatch = true;
bool is_write(const void* context) {
  return (static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
}
#else
constexpr bool kCanWatch = false;
bool is_write(const void*) {
  return false;
}
#endif

/// The first read of a page, and the first write, fault: they are counted and permitted.
void note_access(int, siginfo_t* info, void* context) {
  auto* address = static_cast<unsigned char*>(info->si_addr);
  if (address < watch.begin || address >= watch.end || watch.count == kMostAccesses) {
    sigaction(SIGSEGV, &watch.before, nullptr);  // faults again, for whoever handles it
    return;
  }
  unsigned char* page = address - reinterpret_cast<uintptr_t>(address) % kPage;
  const bool writes = is_write(context);
  watch.accesses[watch.count++] = {reinterpret_cast<uintptr_t>(address), writes};
  mprotect(page, kPage, writes ? PROT_READ | PROT_WRITE : PROT_READ);
}

}  // namespace

Memory::Memory() {
  void* addresses =
      mmap(nullptr, kDeviceBytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check<DeviceError>(addresses != MAP_FAILED, "emulator: no addresses for the device's memory");
  base_ = static_cast<unsigned char*>(addresses);
  base_ += (kHugePage - reinterpret_cast<uintptr_t>(base_) % kHugePage) % kHugePage;
  // Opening and closing touches every page that is in use.
  madvise(base_, kDeviceBytes, MADV_HUGEPAGE);
  free_.emplace(0, kDeviceBytes);
}

void* Memory::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  const DeviceMemoryAccess access;
  const size_t alignment = is_bare_ ? kPage : kAlignment;
  const size_t wanted = rounded_up(std::max<size_t>(bytes, 1), alignment) + kGuardBytes;
  const auto before = [&](const auto& range) { return rounded_up(range.first, alignment) - range.first; };
  const auto place = std::find_if(free_.begin(), free_.end(), [&](const auto& range) {
    return range.second >= wanted && range.second - wanted >= before(range);
  });
  if (place == free_.end()) return nullptr;
  const auto [free_begin, free_size] = *place;
  const size_t skipped = before(*place), begin = free_begin + skipped;
  free_.erase(place);
  if (skipped > 0) free_.emplace(free_begin, skipped);
  if (free_size > skipped + wanted) free_.emplace(begin + wanted, free_size - skipped - wanted);
  grow(begin + wanted);
  permit(base_ + begin, wanted);
  check_freed(begin, begin + wanted);
  used_.emplace(begin, Used{bytes, is_bare_ ? wanted : bytes, wanted, blocks_made_++});
  if (is_bare_) return base_ + begin;
  std::memset(base_ + begin, kPoison, bytes);
  for (unsigned char* byte = base_ + begin + bytes; byte < base_ + begin + wanted; ++byte) {
    *byte = guard_byte(byte);
  }
  forbid(base_ + begin + bytes, wanted - bytes);
  return base_ + begin;
}

bool Memory::release(void* pointer) {
  const std::lock_guard lock(mutex_);
  const auto used = used_.find(static_cast<size_t>(static_cast<unsigned char*>(pointer) - base_));
  if (used == used_.end()) return false;
  size_t begin = used->first, size = used->second.size;
  used_.erase(used);
#if !defined(__SANITIZE_ADDRESS__)
  if (!is_bare_) {
    const DeviceMemoryAccess access;
    std::memset(base_ + begin, kPoison, size);
    freed_.emplace(begin, begin + size);
  }
#endif
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

/// Who reads freed memory finds NaN, and who wrote it is found here: at the latest when it is handed out.
void Memory::check_freed(size_t begin, size_t end) {
  auto place = freed_.upper_bound(begin);
  if (place != freed_.begin()) --place;
  while (place != freed_.end() && place->first < end) {
    const auto [freed_begin, freed_end] = *place;
    if (freed_end <= begin) {
      ++place;
      continue;
    }
    place = freed_.erase(place);
    if (freed_begin < begin) freed_.emplace(freed_begin, begin);
    if (freed_end > end) freed_.emplace(end, freed_end);
    const unsigned char *first = base_ + std::max(begin, freed_begin),
                        *last = base_ + std::min(end, freed_end);
    check(is_bare_ || std::all_of(first, last, [](unsigned char byte) { return byte == kPoison; }),
          "emulator: device memory was written after it had been freed, somewhere in ", last - first,
          " bytes");
  }
}

bool Memory::contains(const void* pointer) const {
  return pointer >= base_ && pointer < base_ + kDeviceBytes;
}

size_t Memory::bytes_free() {
  const std::lock_guard lock(mutex_);
  size_t sum = 0;
  for (const auto& [begin, size] : free_) sum += size;
  return sum;
}

bool Memory::guards_are_intact() {
  const std::lock_guard lock(mutex_);
#if !defined(__SANITIZE_ADDRESS__)
  for (const auto& [begin, used] : used_) {
    const unsigned char* end = base_ + begin + used.size;
    for (const unsigned char* byte = base_ + begin + used.guarded_bytes; byte < end; ++byte) {
      if (*byte != guard_byte(byte)) return false;
    }
  }
#endif
  return true;
}

void Memory::open() {
  const std::lock_guard lock(access_mutex_);
  if (accesses_++ == 0) protect(PROT_READ | PROT_WRITE);
}
void Memory::close() {
  const std::lock_guard lock(access_mutex_);
  if (--accesses_ == 0) protect(PROT_NONE);
}

void Memory::begin_watching() {
  check(kCanWatch, "emulator: what is read and written in device memory can only be watched on x86-64");
  watch.begin = base_;
  watch.end = base_ + high_water_;
  watch.count = 0;
  if (watch.accesses == nullptr) watch.accesses = new PageAccess[kMostAccesses];
  struct sigaction action {};
  action.sa_sigaction = note_access;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &watch.before);
  protect(PROT_NONE);
}

std::vector<PageAccess> Memory::end_watching() {
  protect(PROT_READ | PROT_WRITE);
  sigaction(SIGSEGV, &watch.before, nullptr);
  watch.begin = watch.end = nullptr;
  return {watch.accesses, watch.accesses + watch.count};
}

MemoryBlock Memory::block_of(uintptr_t address) {
  const std::lock_guard lock(mutex_);
  const auto base = reinterpret_cast<uintptr_t>(base_);
  if (address < base) return {};
  const auto after = used_.upper_bound(address - base);
  if (after == used_.begin()) return {};
  const auto& [begin, used] = *std::prev(after);
  if (address - base >= begin + used.size) return {};
  return {base + begin, used.bytes, used.number};
}

void Memory::protect(int rights) const {
  if (high_water_ > 0) mprotect(base_, high_water_, rights);
}

void Memory::grow(size_t end) {
  if (end <= high_water_) return;
  high_water_ = std::min(rounded_up(end, kHugePage), kDeviceBytes);
  protect(PROT_READ | PROT_WRITE);  // allocate holds a DeviceMemoryAccess
}

Memory& memory() {
  static auto* own = new Memory;
  return *own;
}

DeviceMemoryAccess::DeviceMemoryAccess() {
  memory().open();
}
DeviceMemoryAccess::~DeviceMemoryAccess() {
  memory().close();
}

void check_memory_guards(const char* operation) {
  check(memory().guards_are_intact(), operation, ": a write beside a block of device memory");
}

}  // namespace fovea::emulator
