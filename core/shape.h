#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

#pragma GCC visibility push(default)
namespace fovea {

/// Extents of a tensor, outermost first; rank 0 (a scalar) to 6. Extents are at least 0.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  explicit Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  /// Extent of an axis; a negative axis counts from the end.
  int64_t operator[](int axis) const;
  /// Product of the extents (1 for a scalar).
  int64_t size() const;
  /// The product of the extents of axes [begin, end).
  int64_t size(int begin, int end) const;
  /// This shape with one extent replaced.
  Shape with(int axis, int64_t extent) const;
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }
  /// "[128, 32, 32, 64]"
  std::string str() const;

  /// Some order, for maps.
  friend auto operator<=>(const Shape&, const Shape&) = default;

 private:
  int normalised(int axis) const;

  std::array<int64_t, kMaxRank> extents_{};  // zeros past the rank, so that they are compared as they are
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace fovea
#pragma GCC visibility pop
