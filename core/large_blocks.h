#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace fovea {

/// Memory of the CPU for large blocks: address space reserved in segments, backed by huge pages once it is
/// touched. A block is the smallest free piece that is large enough, or the lowest of those, and what is left
/// of it stays free; a block that comes back joins its free neighbours. So what tensors of one size leave
/// serves tensors of any other, and little more is ever touched than was in use at once.
/// The caller sees to it that one thread uses it at a time.
class LargeBlocks {
 public:
  /// New segments have `segment_bytes` bytes, a multiple of 2 MiB, or as many as a larger request needs.
  explicit LargeBlocks(size_t segment_bytes) : segment_bytes_(segment_bytes) {}
  ~LargeBlocks();
  LargeBlocks(const LargeBlocks&) = delete;
  LargeBlocks& operator=(const LargeBlocks&) = delete;

  /// `bytes` bytes, more than none, rounded up to whole pages, and aligned to a page; null, and nothing is
  /// taken, if there is no memory for them or to note it.
  void* take(size_t bytes) noexcept;
  /// False, and nothing is done, if the block is not from here.
  bool put_back(void* block) noexcept;
  /// Returns what is free to the system: the pages of free pieces, and segments without a block as a whole.
  void release() noexcept;

  /// Bytes that are free and may be in memory: what was not handed out since the last release, nor is joined
  /// with something that was, is not counted.
  size_t kept() const;
  /// Bytes of address space.
  size_t reserved() const;

 private:
  struct Segment {
    size_t bytes;
    size_t top;  // pieces end here: nothing above it has been touched
  };
  struct Piece {
    size_t bytes;
    bool is_free;
    bool may_be_resident;
  };
  using Pieces = std::map<char*, Piece>;  // by address, without gaps from a segment's begin to its top

  Pieces::iterator grown(size_t bytes) noexcept;
  bool add_segment(size_t bytes) noexcept;
  Pieces::iterator add_free(char* begin, size_t bytes, bool may_be_resident) noexcept;
  Pieces::iterator joined(Pieces::iterator piece) noexcept;
  void absorb_next(Pieces::iterator piece) noexcept;

  size_t segment_bytes_;
  std::map<char*, Segment> segments_;
  Pieces pieces_;
  std::set<std::pair<size_t, char*>> free_by_size_;
};

}  // namespace fovea
