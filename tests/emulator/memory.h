#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace fovea::emulator {

inline constexpr size_t kDeviceBytes = size_t{80} << 30;  // of addresses; memory is taken when it is touched

/// Bytes that were read and written, in whole pages; a page counts once each way.
struct PageTraffic {
  int64_t read = 0, written = 0;
};

/// The emulated device's memory: out of the host's reach but while it is opened.
class Memory {
 public:
  Memory();

  /// Null if there is no room. What is handed out is poisoned and has guards behind it.
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
  /// Watches what is read and written until end_watching. The memory must be open. Error where the processor
  /// does not tell a write from a read.
  void begin_watching();
  PageTraffic end_watching();

 private:
  void protect(int rights) const;
  void grow(size_t end);

  unsigned char* base_;
  std::mutex mutex_, access_mutex_;
  std::map<size_t, size_t> free_;                     // begin -> size
  std::map<size_t, std::pair<size_t, size_t>> used_;  // begin -> (bytes asked for, with what follows)
  size_t high_water_ = 0;                             // no byte beyond was ever in use
  int accesses_ = 0;
  bool is_bare_ = false;
};

Memory& memory();

}  // namespace fovea::emulator
