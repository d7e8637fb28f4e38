#include "fovea/core/large_blocks.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "limited_new.h"

using fovea::LargeBlocks;

namespace {

constexpr size_t kKiB = 1 << 10;
constexpr size_t kMiB = 1 << 20;

bool is_mapped(void* address) {
  unsigned char resident = 0;
  return mincore(address, 1, &resident) == 0;
}

bool is_resident(void* address) {
  unsigned char resident = 0;
  return mincore(address, 1, &resident) == 0 && (resident & 1) != 0;
}

/// A block, where `allocations` allocations can be had for its notes.
void* take_with(LargeBlocks& memory, size_t bytes, int allocations) {
  const fovea::test::LimitedNew limited(allocations);
  return memory.take(bytes);
}

}  // namespace

TEST_CASE("LargeBlocks: blocks are aligned to pages, and the first to a huge page") {
  LargeBlocks memory(4 * kMiB);
  CHECK(reinterpret_cast<uintptr_t>(memory.take(1)) % (2 * kMiB) == 0);
  for (const size_t bytes : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, 100 * kKiB, 3 * kMiB}) {
    CHECK(reinterpret_cast<uintptr_t>(memory.take(bytes)) % 4096 == 0);
  }
}

TEST_CASE("LargeBlocks: three neighbours freed in any order are one free piece") {
  std::vector<int> order{0, 1, 2};
  do {
    CAPTURE(order);
    LargeBlocks memory(4 * kMiB);
    void* parts[3] = {memory.take(64 * kKiB), memory.take(128 * kKiB), memory.take(192 * kKiB)};
    void* after = memory.take(64 * kKiB);  // what is untouched is not next to them
    for (const int i : order) CHECK(memory.put_back(parts[i]));
    CHECK(memory.kept() == 384 * kKiB);
    CHECK(memory.take(384 * kKiB) == parts[0]);
    CHECK(memory.kept() == 0);
    CHECK(memory.put_back(after));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("LargeBlocks: takes the smallest piece that is large enough, of equal ones the lowest") {
  LargeBlocks memory(4 * kMiB);
  std::vector<void*> pieces;
  for (const size_t bytes : {256 * kKiB, 64 * kKiB, 128 * kKiB, 64 * kKiB}) {
    pieces.push_back(memory.take(bytes));
    memory.take(4 * kKiB);  // between, so that they do not join
  }
  for (const size_t i : {3U, 2U, 1U, 0U}) memory.put_back(pieces[i]);
  CHECK(memory.take(100 * kKiB) == pieces[2]);
  CHECK(memory.take(64 * kKiB) == pieces[1]);
  CHECK(memory.take(64 * kKiB) == pieces[3]);
  CHECK(memory.take(28 * kKiB) == static_cast<char*>(pieces[2]) + 100 * kKiB);
  CHECK(memory.take(256 * kKiB) == pieces[0]);
  CHECK(memory.kept() == 0);
}

TEST_CASE("LargeBlocks: a free piece below what is untouched grows into it") {
  LargeBlocks memory(4 * kMiB);
  memory.take(kMiB);
  void* last = memory.take(kMiB);
  memory.put_back(last);
  CHECK(memory.take(3 * kMiB) == last);
  CHECK(memory.reserved() == 4 * kMiB);
}

TEST_CASE("LargeBlocks: what does not fit gets a segment, and segments do not join") {
  LargeBlocks memory(2 * kMiB);
  std::vector<void*> wholes;
  for (int i = 0; i < 4; ++i) wholes.push_back(memory.take(2 * kMiB));
  CHECK(memory.reserved() == 8 * kMiB);
  for (void* whole : wholes) memory.put_back(whole);
  memory.take(3 * kMiB);
  CHECK(memory.reserved() == 12 * kMiB);  // one for it, of whole huge pages
  CHECK(memory.kept() == 8 * kMiB);
  for (int i = 0; i < 4; ++i) memory.take(2 * kMiB);
  CHECK(memory.reserved() == 12 * kMiB);
}

TEST_CASE("LargeBlocks: null where there is no such memory, and a block of others is refused") {
  LargeBlocks memory(2 * kMiB);
  CHECK(memory.take(size_t{1} << 50) == nullptr);
  CHECK(memory.take(SIZE_MAX) == nullptr);
  CHECK(memory.reserved() == 0);
  int other = 0;
  CHECK(!memory.put_back(&other));
  auto* block = static_cast<char*>(memory.take(kMiB));
  CHECK(!memory.put_back(block + 4096));
  CHECK(memory.put_back(block));
}

TEST_CASE("LargeBlocks: null, and as it was, where there is no memory to note a new piece") {
  int failures = 0;
  for (;; ++failures) {
    LargeBlocks memory(4 * kMiB);
    if (take_with(memory, kMiB, failures) != nullptr) break;
    CHECK(memory.kept() == 0);
    CHECK(memory.take(kMiB) != nullptr);
    CHECK(memory.take(3 * kMiB) != nullptr);
    CHECK(memory.reserved() == 4 * kMiB);
  }
  CHECK(failures == 3);  // the segment, and the piece by address and by size
}

TEST_CASE("LargeBlocks: null, and as it was, where there is no memory to note the rest of a piece") {
  int failures = 0;
  for (;; ++failures) {
    LargeBlocks memory(4 * kMiB);
    void* piece = memory.take(kMiB);
    memory.take(kMiB);
    memory.put_back(piece);
    if (take_with(memory, 256 * kKiB, failures) != nullptr) break;
    CHECK(memory.kept() == kMiB);
    CHECK(memory.take(512 * kKiB) == piece);
    CHECK(memory.take(512 * kKiB) == static_cast<char*>(piece) + 512 * kKiB);
    CHECK(memory.reserved() == 4 * kMiB);
  }
  CHECK(failures == 2);  // by address and by size
}

TEST_CASE("LargeBlocks: release gives free pages and empty segments back") {
  LargeBlocks memory(2 * kMiB);
  auto* first = static_cast<char*>(memory.take(512 * kKiB));
  auto* kept = static_cast<char*>(memory.take(512 * kKiB));
  auto* last = static_cast<char*>(memory.take(512 * kKiB));
  auto* alone = static_cast<char*>(memory.take(2 * kMiB));
  for (char* block : {first, kept, last}) std::memset(block, 1, 512 * kKiB);
  std::memset(alone, 1, 2 * kMiB);
  for (char* block : {first, last, alone}) memory.put_back(block);
  CHECK(memory.kept() == 3 * kMiB);
  CHECK(is_resident(alone));

  memory.release();
  CHECK(memory.kept() == 0);
  CHECK(memory.reserved() == 2 * kMiB);
  CHECK(!is_mapped(alone));
  CHECK((!is_resident(first) && !is_resident(first + 508 * kKiB)));
  CHECK((!is_resident(last) && !is_resident(last + 508 * kKiB)));
  CHECK(!is_resident(last + 512 * kKiB));  // the rest of a huge page
  CHECK(std::all_of(kept, kept + 512 * kKiB, [](char byte) { return byte == 1; }));

  CHECK(memory.take(512 * kKiB) == first);  // it can still be had
  CHECK(first[0] == 0);
  CHECK(memory.take(kMiB) == last);
  memory.put_back(first);
  CHECK(memory.kept() == 512 * kKiB);
  memory.release();
  memory.release();
  CHECK(memory.kept() == 0);
}

TEST_CASE("LargeBlocks: random blocks never overlap, and all join again") {
  struct Block {
    uint32_t* begin;
    size_t words;
    uint32_t number;
  };
  LargeBlocks memory(2 * kMiB);
  std::mt19937 random(1);
  std::vector<Block> blocks;
  size_t in_use = 0;
  bool is_intact = true;
  const auto put_back = [&](size_t i) {
    const Block block = blocks[i];
    is_intact = is_intact && std::all_of(block.begin, block.begin + block.words,
                                         [&](uint32_t word) { return word == block.number; });
    in_use -= (block.words * 4 + 4095) / 4096 * 4096;
    CHECK(memory.put_back(block.begin));
    blocks[i] = blocks.back();
    blocks.pop_back();
  };
  for (uint32_t number = 1; number <= 4000; ++number) {
    if (!blocks.empty() && random() % 32 < blocks.size()) put_back(random() % blocks.size());
    const size_t words = 1 + random() % (random() % 16 == 0 ? 800000 : 20000);
    auto* begin = static_cast<uint32_t*>(memory.take(words * 4));
    REQUIRE(begin != nullptr);
    std::fill(begin, begin + words, number);
    blocks.push_back({begin, words, number});
    in_use += (words * 4 + 4095) / 4096 * 4096;
    if (number % 500 == 0) memory.release();
    CHECK(in_use + memory.kept() <= memory.reserved());
  }
  while (!blocks.empty()) put_back(random() % blocks.size());
  CHECK(is_intact);
  CHECK(in_use == 0);
  memory.release();
  CHECK(memory.reserved() == 0);
}
