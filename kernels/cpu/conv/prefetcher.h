#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {

/// Prefetches memory that will be read soon, line by line between multiplications, so that it arrives in the
/// L2 cache while they go on.
class Prefetcher {
 public:
  /// How many outer products lie between two times that a product prefetches.
  static constexpr int64_t kDepth = 4;

  void clear() { ranges_ = current_ = 0; }
  /// At most three ranges at once.
  template <class T>
  void add(const T* data, int64_t count) {
    const auto* begin = reinterpret_cast<const char*>(data);
    if (count > 0) list_[ranges_++] = {begin, begin + count * static_cast<int64_t>(sizeof(T)), 0};
  }
  /// Shares what was added among the next `steps` steps of the loops that follow.
  void spread(int64_t steps) {
    int64_t lines = 0;
    for (size_t i = 0; i < ranges_; ++i) lines += (list_[i].end - list_[i].next + kLine - 1) / kLine;
    for (size_t i = 0; i < ranges_; ++i) list_[i].per_step = (lines + steps - 1) / steps;
  }

  /// What one loop prefetches.
  struct Lines {
    const char *next = nullptr, *end = nullptr;
    int64_t per_step = 0;

    /// A step of the loop. What lies behind the end does no harm: the processor need not answer.
    void prefetch() {
      for (int64_t i = 0; i < per_step; ++i, next += kLine) {
        __builtin_prefetch(next, /*rw=*/0, /*locality=*/2);
      }
    }
  };
  /// A loop takes the lines, and gives back what it has left.
  Lines take() const { return current_ < ranges_ ? list_[current_] : Lines(); }
  void put_back(const Lines& lines) {
    if (current_ == ranges_) return;
    list_[current_] = lines;
    if (lines.next >= lines.end) ++current_;
  }

 private:
  static constexpr int64_t kLine = 64;
  std::array<Lines, 3> list_;
  size_t ranges_ = 0, current_ = 0;
};

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
