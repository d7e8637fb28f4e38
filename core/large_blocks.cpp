#include "fovea/core/large_blocks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <new>

namespace fovea {
namespace {

size_t page() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t rounded_up(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

/// `bytes` bytes of address space, both multiples of a huge page, or null.
char* reserve(size_t bytes) {
  // Not MAP_NORESERVE: the system is to refuse what it can never have.
  void* mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<char*>(mapped);
  const size_t in_front =
      rounded_up(reinterpret_cast<uintptr_t>(begin), kHugePage) - reinterpret_cast<uintptr_t>(begin);
  if (in_front > 0) munmap(begin, in_front);
  begin += in_front;
  munmap(begin + bytes, kHugePage - in_front);
  // Large tensors are streamed through: huge pages save most of the page faults and TLB misses.
  madvise(begin, bytes, MADV_HUGEPAGE);
  return begin;
}

}  // namespace

LargeBlocks::~LargeBlocks() {
  for (const auto& [begin, segment] : segments_) munmap(begin, segment.bytes);
}

void* LargeBlocks::take(size_t bytes) noexcept {
  if (bytes > std::numeric_limits<size_t>::max() / 2) return nullptr;
  bytes = rounded_up(bytes, page());
  const auto best = free_by_size_.lower_bound({bytes, nullptr});
  const auto piece = best != free_by_size_.end() ? pieces_.find(best->second) : grown(bytes);
  if (piece == pieces_.end()) return nullptr;
  auto& [begin, taken] = *piece;
  if (taken.bytes > bytes) {
    const auto rest = add_free(begin + bytes, taken.bytes - bytes, taken.may_be_resident);
    if (rest == pieces_.end()) return nullptr;
  }
  free_by_size_.erase({taken.bytes, begin});
  taken = {bytes, /*is_free=*/false, /*may_be_resident=*/true};
  return begin;
}

bool LargeBlocks::put_back(void* block) noexcept {
  const auto piece = pieces_.find(static_cast<char*>(block));
  if (piece == pieces_.end()) return false;
  try {
    free_by_size_.emplace(piece->second.bytes, piece->first);
  } catch (const std::bad_alloc&) {
    return true;  // without the memory to note that it is free it stays taken
  }
  piece->second.is_free = true;
  joined(piece);
  return true;
}

void LargeBlocks::release() noexcept {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    auto& [begin, extent] = *segment;
    auto piece = pieces_.lower_bound(begin);
    while (piece != pieces_.end() && piece->first < begin + extent.top) {
      auto& [address, range] = *piece;
      const auto next = std::next(piece);
      if (range.is_free) {
        const bool is_last = address + range.bytes == begin + extent.top;
        // The page in which the last piece ends may be a huge one, which reaches beyond it.
        const size_t beyond = is_last ? rounded_up(extent.top, kHugePage) - extent.top : 0;
        if (range.may_be_resident) madvise(address, range.bytes + beyond, MADV_DONTNEED);
        range.may_be_resident = false;
        if (is_last) {
          extent.top -= range.bytes;
          free_by_size_.erase({range.bytes, address});
          pieces_.erase(piece);
        }
      }
      piece = next;
    }
    if (extent.top == 0) {
      munmap(begin, extent.bytes);
      segment = segments_.erase(segment);
    } else {
      ++segment;
    }
  }
}

size_t LargeBlocks::kept() const {
  size_t sum = 0;
  for (const auto& [begin, piece] : pieces_) {
    if (piece.is_free && piece.may_be_resident) sum += piece.bytes;
  }
  return sum;
}

size_t LargeBlocks::reserved() const {
  size_t sum = 0;
  for (const auto& [begin, segment] : segments_) sum += segment.bytes;
  return sum;
}

/// A free piece of at least `bytes` bytes that ends at the top of a segment, which rises; the end if there is
/// no memory.
LargeBlocks::Pieces::iterator LargeBlocks::grown(size_t bytes) noexcept {
  const auto free_below_top = [this](const auto& segment) {
    if (segment.second.top == 0) return size_t{0};
    const auto last = std::prev(pieces_.lower_bound(segment.first + segment.second.top));
    return last->second.is_free ? last->second.bytes : 0;
  };
  const auto has_room = [&](const auto& segment) {
    return segment.second.bytes - segment.second.top + free_below_top(segment) >= bytes;
  };
  auto segment = std::find_if(segments_.begin(), segments_.end(), has_room);
  if (segment == segments_.end()) {
    if (!add_segment(std::max(rounded_up(bytes, kHugePage), segment_bytes_)) &&
        !add_segment(rounded_up(bytes, kHugePage))) {
      return pieces_.end();
    }
    segment = std::find_if(segments_.begin(), segments_.end(), has_room);
  }
  auto& [begin, extent] = *segment;
  const size_t more = bytes - free_below_top(*segment);
  const auto piece = add_free(begin + extent.top, more, /*may_be_resident=*/false);
  if (piece == pieces_.end()) return piece;
  extent.top += more;
  return joined(piece);
}

bool LargeBlocks::add_segment(size_t bytes) noexcept {
  char* begin = reserve(bytes);
  if (begin == nullptr) return false;
  try {
    segments_.emplace(begin, Segment{bytes, /*top=*/0});
  } catch (const std::bad_alloc&) {
    munmap(begin, bytes);
    return false;
  }
  return true;
}

/// Notes a free piece by address and by size; the end, and it is noted nowhere, if there is no memory.
LargeBlocks::Pieces::iterator LargeBlocks::add_free(char* begin, size_t bytes,
                                                    bool may_be_resident) noexcept {
  auto piece = pieces_.end();
  try {
    piece = pieces_.emplace(begin, Piece{bytes, /*is_free=*/true, may_be_resident}).first;
    free_by_size_.emplace(bytes, begin);
  } catch (const std::bad_alloc&) {
    if (piece != pieces_.end()) pieces_.erase(piece);
    return pieces_.end();
  }
  return piece;
}

/// Joins a free piece with its free neighbours of the same segment.
LargeBlocks::Pieces::iterator LargeBlocks::joined(Pieces::iterator piece) noexcept {
  const auto joins_previous = [this](Pieces::iterator it) {
    return it != pieces_.begin() && it != pieces_.end() && it->second.is_free &&
           std::prev(it)->second.is_free && !segments_.contains(it->first);
  };
  if (joins_previous(std::next(piece))) absorb_next(piece);
  if (joins_previous(piece)) absorb_next(--piece);
  return piece;
}

void LargeBlocks::absorb_next(Pieces::iterator piece) noexcept {
  const auto next = std::next(piece);
  auto& [begin, range] = *piece;
  // The entry is changed instead of made anew, which could fail.
  auto entry = free_by_size_.extract({range.bytes, begin});
  free_by_size_.erase({next->second.bytes, next->first});
  range.bytes += next->second.bytes;
  range.may_be_resident |= next->second.may_be_resident;
  entry.value().first = range.bytes;
  free_by_size_.insert(std::move(entry));
  pieces_.erase(next);
}

}  // namespace fovea
