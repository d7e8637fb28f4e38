#include "fovea/core/shape.h"

#include <limits>
#include <ostream>

#include "fovea/core/check.h"

namespace fovea {

Shape::Shape(std::initializer_list<int64_t> extents)
    : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const int64_t> extents) {
  check(extents.size() <= kMaxRank, "Shape: rank is ", extents.size(), ", at most ", kMaxRank,
        " is supported");
  rank_ = static_cast<int>(extents.size());
  int64_t product = 1;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    const int64_t extent = extents[axis];
    check(extent >= 0, "Shape: extent ", extent, " of axis ", axis, " is negative");
    check(extent == 0 || product <= std::numeric_limits<int64_t>::max() / extent,
          "Shape: the number of elements does not fit in 63 bits");
    product *= extent;
    extents_[axis] = extent;
  }
}

int Shape::normalised(int axis) const {
  check(axis >= -rank_ && axis < rank_, "Shape: axis ", axis, " of ", *this, " does not exist");
  return axis < 0 ? axis + rank_ : axis;
}

int64_t Shape::operator[](int axis) const {
  return extents_[static_cast<size_t>(normalised(axis))];
}

int64_t Shape::size() const {
  return size(0, rank_);
}

int64_t Shape::size(int begin, int end) const {
  int64_t product = 1;
  for (int axis = begin; axis < end; ++axis) product *= extents_[static_cast<size_t>(axis)];
  return product;
}

Shape Shape::with(int axis, int64_t extent) const {
  Shape result = *this;
  result.extents_[static_cast<size_t>(normalised(axis))] = extent;
  return Shape(result.extents());  // checks the extent
}

std::string Shape::str() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(extents_[static_cast<size_t>(axis)]);
  }
  return text + "]";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << shape.str();
}

}  // namespace fovea
