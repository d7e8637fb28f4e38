#include "fovea/core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/tensor.h"

using namespace fovea;

TEST_CASE("allocator: blocks are aligned to 64 bytes and do not overlap") {
  for (const size_t bytes : {1U, 63U, 64U, 65U, 513U, 4096U, 100000U, 3U << 20}) {
    void* a = allocate(bytes, Device::cpu());
    void* b = allocate(bytes, Device::cpu());
    CHECK(reinterpret_cast<uintptr_t>(a) % 64 == 0);
    CHECK(reinterpret_cast<uintptr_t>(b) % 64 == 0);
    std::memset(a, 1, bytes);
    std::memset(b, 2, bytes);
    const auto* first = static_cast<const unsigned char*>(a);
    CHECK(std::all_of(first, first + bytes, [](unsigned char byte) { return byte == 1; }));
    deallocate(a, bytes, Device::cpu());
    deallocate(b, bytes, Device::cpu());
  }
}

TEST_CASE("allocator: counts what is in use, its peak, and what is cached") {
  release_cached_memory();
  reset_peak_memory();
  const MemoryStats before = memory_stats();
  CHECK(before.cached == 0);
  {
    const Tensor a = Tensor::empty({1 << 20});
    { const Tensor b = Tensor::empty({1 << 20}); }
    const MemoryStats inside = memory_stats();
    CHECK(inside.in_use - before.in_use == 4 << 20);
    CHECK(inside.peak - before.in_use == 8 << 20);
    CHECK(inside.cached == 4 << 20);
  }
  const MemoryStats after = memory_stats();
  CHECK(after.in_use == before.in_use);
  CHECK(after.cached == 8 << 20);
  reset_peak_memory();
  CHECK(memory_stats().peak == after.in_use);
  release_cached_memory();
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("allocator: a freed block is used again for a request of its size class") {
  const void* first = nullptr;
  {
    const Tensor a = Tensor::empty({100000});
    first = a.raw();
  }
  const Tensor again = Tensor::empty({99999});
  CHECK(again.raw() == first);
}

#if !defined(__SANITIZE_ADDRESS__)  // under which every block is one of malloc
TEST_CASE("allocator: what large blocks leave serves a larger one") {
  release_cached_memory();
  const int64_t MiB = 1 << 20;
  std::vector<Tensor> parts;
  for (int i = 0; i < 4; ++i) parts.push_back(Tensor::empty({2 * MiB}, Dtype::u8));
  parts.clear();
  CHECK(memory_stats().cached == 8 * MiB);
  const Tensor whole = Tensor::empty({8 * MiB}, Dtype::u8);
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("allocator: released memory is no longer resident") {
  const int64_t pages = 4096;
  Tensor block = Tensor::full({pages * 4096}, 1, Dtype::u8);
  auto* begin = static_cast<unsigned char*>(block.raw());
  std::vector<unsigned char> resident(pages);
  block = Tensor();
  CHECK(mincore(begin, pages * 4096, resident.data()) == 0);
  CHECK(std::accumulate(resident.begin(), resident.end(), 0) == pages);
  release_cached_memory();
  std::ranges::fill(resident, 0);
  mincore(begin, pages * 4096, resident.data());  // fails if not even the addresses are left
  CHECK(std::accumulate(resident.begin(), resident.end(), 0) == 0);
}
#endif

TEST_CASE("allocator: several threads get blocks of their own") {
  const auto work = [](unsigned seed) {
    std::mt19937 random(seed);
    bool is_intact = true;
    for (int i = 0; i < 200; ++i) {
      const size_t bytes = 1 + random() % (size_t{1} << 18);
      auto* block = static_cast<unsigned char*>(allocate(bytes, Device::cpu()));
      std::memset(block, static_cast<int>(seed), bytes);
      std::this_thread::yield();
      is_intact = is_intact && std::all_of(block, block + bytes, [&](unsigned char b) { return b == seed; });
      deallocate(block, bytes, Device::cpu());
    }
    return is_intact;
  };
  bool is_intact[3] = {};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) threads.emplace_back([&, i] { is_intact[i] = work(i + 1); });
  for (std::thread& thread : threads) thread.join();
  CHECK((is_intact[0] && is_intact[1] && is_intact[2]));
}

TEST_CASE("allocator: at most an eighth is wasted") {
  for (const int64_t bytes : {513, 1000, 1025, 65537, 1000000, (1 << 24) + 1}) {
    const MemoryStats before = memory_stats();
    const Tensor a = Tensor::empty({bytes}, Dtype::u8);
    const int64_t held = memory_stats().in_use - before.in_use;
    CHECK(held >= bytes);
    CHECK(held <= bytes + bytes / 8 + 1);
  }
}

TEST_CASE("allocator: no memory is a device error that says how much was wanted") {
  const int64_t bytes = int64_t{1} << 50;
  CHECK_THROWS_AS(Tensor::empty({bytes}, Dtype::u8), DeviceError);
  CHECK_THROWS_WITH(Tensor::empty({bytes}, Dtype::u8), Catch::Contains(std::to_string(bytes) + " bytes"));
}

// With FOVEA_KEEP_MEMORY=0: see CMakeLists.txt.
TEST_CASE("allocator: nothing is kept where that is wanted", "[.not-kept]") {
  for (const int64_t bytes : {1, 1000, 1 << 20}) {
    const MemoryStats before = memory_stats();
    CHECK(before.cached == 0);
    const AllocatorGuard guard;  // does nothing
    const Tensor a = Tensor::empty({bytes}, Dtype::u8);
    CHECK(memory_stats().in_use - before.in_use == bytes);
  }
}

TEST_CASE("AllocatorGuard: new blocks are not numbers") {
  const AllocatorGuard guard;
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
    for (const double number : Tensor::empty({33}, dtype).to_doubles()) CHECK(std::isnan(number));
  }
}

TEST_CASE("AllocatorGuard: counts blocks that were written outside") {
  const int64_t before = AllocatorGuard::violations();
  const AllocatorGuard guard;
  { const Tensor intact = Tensor::zeros({33}); }
  CHECK(AllocatorGuard::violations() == before);
  {
    Tensor behind = Tensor::zeros({33});
    behind.data<float>()[33] = 0;
  }
  CHECK(AllocatorGuard::violations() == before + 1);
  {
    Tensor in_front = Tensor::zeros({33});
    in_front.data<float>()[-1] = 0;
  }
  CHECK(AllocatorGuard::violations() == before + 2);
}

TEST_CASE("AllocatorGuard: blocks outlive it, and older ones are freed under it") {
  const int64_t before = AllocatorGuard::violations();
  Tensor older = Tensor::zeros({7}), younger;
  {
    const AllocatorGuard guard;
    older = Tensor();
    younger = Tensor::zeros({7});
  }
  younger = Tensor();
  CHECK(AllocatorGuard::violations() == before);
}
