#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "fovea/core/tensor.h"

namespace fovea::cli {

using Colour = std::array<uint8_t, 3>;  // red, green, blue

/// The colour of a value: from dark blue at 0 over red to pale yellow at 1; what is outside counts as the end
/// that is nearer, NaN as grey.
Colour heat(double value);

/// An image that is drawn: text, values as colours, other images.
class Picture {
 public:
  static constexpr int64_t kGlyphWidth = 6, kGlyphHeight = 10;  // of text, the gaps included

  /// White.
  Picture(int64_t height, int64_t width);

  int64_t height() const { return pixels_.shape(0); }
  int64_t width() const { return pixels_.shape(1); }
  /// u8 [height, width, 3]
  const Tensor& pixels() const { return pixels_; }

  void fill(int64_t top, int64_t left, int64_t height, int64_t width, Colour colour);
  /// Letters, digits and the commonest signs, from the corner on, `scale` times their size; what there is no
  /// sign for is a space.
  void write(int64_t top, int64_t left, std::string_view text, Colour colour = {0, 0, 0}, int64_t scale = 1);
  /// An image u8 [H, W, 3], brought to height x width: its points are squares where they are enlarged by a
  /// whole factor of up to 4, else it is smooth.
  void draw_image(int64_t top, int64_t left, int64_t height, int64_t width, const Tensor& image);
  /// `map`, H rows of W values, brought to height x width likewise, in 64 colours from `least` to `greatest`.
  void draw_map(int64_t top, int64_t left, int64_t height, int64_t width, std::span<const float> map,
                int64_t H, int64_t W, double least, double greatest);

 private:
  uint8_t* at(int64_t h, int64_t w);

  Tensor pixels_;
};

/// The map's H rows of W values at height x width places, bilinearly: place i of n lies at (i + 1/2) / n.
Tensor resized_map(std::span<const float> map, int64_t H, int64_t W, int64_t height, int64_t width);

}  // namespace fovea::cli
