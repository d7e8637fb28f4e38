#include "limited_new.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr int kUnlimited = -1;
thread_local int allocations_left = kUnlimited;  // of this thread, before all fail

void* allocate_or_null(size_t bytes) noexcept {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return std::malloc(std::max(bytes, size_t{1}));
}

}  // namespace

fovea::test::LimitedNew::LimitedNew(int allocations) {
  allocations_left = allocations;
}
fovea::test::LimitedNew::~LimitedNew() {
  allocations_left = kUnlimited;
}

// All that belong together, as the address sanitizer wants it; inlined, one of them with malloc or free in it
// would look to the compiler as if it did not fit the other.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (void* block = allocate_or_null(bytes)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return allocate_or_null(bytes);
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept {
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, const std::nothrow_t&) noexcept {
  std::free(block);
}
