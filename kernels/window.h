#pragma once

#include <algorithm>
#include <cstdint>

#include "fovea/core/check.h"
#include "fovea/core/shape.h"

#pragma GCC visibility push(default)
namespace fovea::kernels {

/// Positions, rows or images begin, ..., end - 1; none where end <= begin.
template <class T>
struct BasicInterval {
  T begin, end;
  T count() const { return end - begin; }
};
using Interval = BasicInterval<int64_t>;

/// A square pooling window that slides over an image: output i covers the inputs
/// i * stride - padding, ..., i * stride - padding + size - 1, along either axis.
struct Window {
  int64_t size, stride, padding;

  /// Number of outputs along an axis of `extent` inputs.
  int64_t outputs(int64_t extent) const { return (extent + 2 * padding - size) / stride + 1; }

  /// The inputs that output i covers, padding left out.
  Interval inputs_of(int64_t i, int64_t extent) const {
    const int64_t begin = i * stride - padding;
    return {std::max<int64_t>(begin, 0), std::min(begin + size, extent)};
  }

  /// The outputs that cover input h.
  Interval outputs_of(int64_t h, int64_t output_extent) const {
    const int64_t first = h + padding - size + 1;
    return {first > 0 ? (first + stride - 1) / stride : 0,
            std::min((h + padding) / stride + 1, output_extent)};
  }

  /// Where input (h, w) lies in the window of output (i, j): r * size + s for row r, column s.
  int64_t position(int64_t h, int64_t i, int64_t w, int64_t j) const {
    return (h - i * stride + padding) * size + w - j * stride + padding;
  }

  /// An Error, which begins with `operation`, unless the window is possible and fits on images [N, H, W, C].
  /// Padding of at most half the window means that each window covers an input.
  void check_fits(const char* operation, const Shape& image) const {
    check(image.rank() == 4, operation, ": x is ", image, ", wanted [N, H, W, C]");
    check(size >= 1 && size <= kMaxSize, operation, ": window is ", size, ", wanted 1 to ", kMaxSize);
    check(stride >= 1, operation, ": stride is ", stride, ", wanted 1 or more");
    check(padding >= 0 && 2 * padding <= size, operation, ": padding is ", padding,
          ", wanted 0 to half the window of ", size);
    check(std::min(image[1], image[2]) + 2 * padding >= size && image[1] > 0 && image[2] > 0, operation,
          ": a window of ", size, " with padding ", padding, " does not fit on x of ", image);
  }

  static constexpr int64_t kMaxSize = 15;  // so that a position in the window is one byte
};

/// The shape of a convolution's result. x: [N, H, W, C], weight: [K, R, S, C] -> [N, P, Q, K]
inline Shape conv_shape(const Shape& x, const Shape& weight, int64_t stride, int64_t padding) {
  return {x[0], Window{weight[1], stride, padding}.outputs(x[1]),
          Window{weight[2], stride, padding}.outputs(x[2]), weight[0]};
}

}  // namespace fovea::kernels
#pragma GCC visibility pop
