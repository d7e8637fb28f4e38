// Two functions of the C library in front of its own, for the sake of oneDNN (see MemoryScope): where memory
// that it asks for is not there they throw, as `operator new` does, and the program ends with exit code 4
// instead of a crash. For all others they do what they did.
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>

#include "fovea/kernels/cpu/conv/onednn_memory.h"

// The sanitizers have functions of their own in front of the C library's.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

using fovea::kernels::cpu::onednn::MemoryScope;

// Under other names than in the C library's headers, which say that they never throw.
extern "C" int allocate_aligned(void** block, size_t alignment, size_t bytes) asm("posix_memalign");
extern "C" void* map_memory(void* address, size_t bytes, int protection, int flags, int file,
                            off_t offset) asm("mmap");

/// oneDNN's objects.
int allocate_aligned(void** block, size_t alignment, size_t bytes) {
  if (!std::has_single_bit(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const int before = errno;
  void* found = memalign(alignment, bytes);
  errno = before;  // which posix_memalign leaves alone
  if (found == nullptr && MemoryScope::is_inside()) throw std::bad_alloc();
  if (found == nullptr) return ENOMEM;
  *block = found;
  return 0;
}

/// oneDNN's code.
void* map_memory(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  const auto found = syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
  if (found == -1 && MemoryScope::is_inside()) throw std::bad_alloc();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the system call returns a number.
  return reinterpret_cast<void*>(found);
}

#endif
