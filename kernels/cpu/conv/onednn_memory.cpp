#include "fovea/kernels/cpu/conv/onednn_memory.h"

#include <sys/mman.h>

#include <cstddef>
#include <new>

#include "fovea/core/allocator.h"

namespace fovea::kernels::cpu::onednn {

thread_local bool MemoryScope::is_inside_ = false;

void check_room() {
  // A primitive is made of kernels of 256 KiB each, and of some KiB besides.
  constexpr size_t kBytes = size_t{16} << 20;
  const auto map = [] {
    return mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* room = map();
  if (room == MAP_FAILED) {
    release_cached_memory();
    room = map();
  }
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kBytes);
}

}  // namespace fovea::kernels::cpu::onednn
