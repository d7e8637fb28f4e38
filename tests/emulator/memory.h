#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace fovea::emulator {

inline constexpr size_t kDeviceBytes = size_t{80} << 30;  // of addresses; memory is taken when it is touched

inline constexpr size_t kPage = 4096;

/// A block of device memory.
struct MemoryBlock {
  uintptr_t begin = 0;
  size_t bytes = 0;     // asked for
  uint64_t number = 0;  // blocks are numbered as they are handed out
};

/// The first read or the first write of a page.
struct PageAccess {
  uintptr_t address;
  bool is_write;
};

/// The emulated device's memory: out of the host's reach but while it is opened.
class Memory {
 public:
  Memory();

  /// Null if there is no room. What is handed out is poisoned and has guards behind it. An Error if what is
  /// handed out was written after it had been freed.
  void* allocate(size_t bytes);
  /// False if `pointer` is no block.
  bool release(void* pointer);
  bool contains(const void* pointer) const;
  size_t bytes_free();
  /// The address sanitizer sees a write beside a block at once; without it the guards tell afterwards.
  bool guards_are_intact();

  void open();
  void close();

  /// Until false: blocks begin at pages, and are neither poisoned nor guarded, so that large ones cost
  /// nothing until they are used.
  void set_bare(bool is_bare) { is_bare_ = is_bare; }
  /// Watches what is read and written until end_watching, page by page, each once a way, but for reads of
  /// what was written before. The memory must be open. Error where the processor does not tell a write from a
  /// read.
  void begin_watching();
  std::vector<PageAccess> end_watching();

  /// The block that an address lies in; of 0 bytes if in none.
  MemoryBlock block_of(uintptr_t address);
  /// How many blocks were handed out.
  uint64_t blocks_made() const { return blocks_made_; }

 private:
  void protect(int rights) const;
  void check_freed(size_t begin, size_t end);
  void grow(size_t end);

  unsigned char* base_;
  std::mutex mutex_, access_mutex_;
  struct Used {
    size_t bytes;          // asked for
    size_t guarded_bytes;  // before the guards
    size_t size;           // with all that follows
    uint64_t number;
  };
  std::map<size_t, size_t> free_;   // begin -> size
  std::map<size_t, Used> used_;     // by begin
  std::map<size_t, size_t> freed_;  // poisoned: begin -> end
  size_t high_water_ = 0;           // no byte beyond was ever in use
  uint64_t blocks_made_ = 0;
  int accesses_ = 0;
  bool is_bare_ = false;
};

Memory& memory();

}  // namespace fovea::emulator
