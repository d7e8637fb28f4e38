#include "picture.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "fovea/core/check.h"

namespace fovea::cli {
namespace {

// Pixels of a glyph; what has no part below the line leaves the last two rows out.
constexpr int64_t kRows = 9, kColumns = 5;

using Glyph = std::array<const char*, kRows>;

const std::map<char, Glyph>& glyphs() {
  static const std::map<char, Glyph> all = {
      {'A', {" ### ", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"}},
      {'B', {"#### ", "#   #", "#   #", "#### ", "#   #", "#   #", "#### "}},
      {'C', {" ####", "#    ", "#    ", "#    ", "#    ", "#    ", " ####"}},
      {'D', {"#### ", "#   #", "#   #", "#   #", "#   #", "#   #", "#### "}},
      {'E', {"#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#####"}},
      {'F', {"#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#    "}},
      {'G', {" ####", "#    ", "#    ", "#  ##", "#   #", "#   #", " ####"}},
      {'H', {"#   #", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"}},
      {'I', {" ### ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
      {'J', {"    #", "    #", "    #", "    #", "    #", "#   #", " ### "}},
      {'K', {"#   #", "#  # ", "# #  ", "##   ", "# #  ", "#  # ", "#   #"}},
      {'L', {"#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"}},
      {'M', {"#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"}},
      {'N', {"#   #", "##  #", "##  #", "# # #", "#  ##", "#  ##", "#   #"}},
      {'O', {" ### ", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "}},
      {'P', {"#### ", "#   #", "#   #", "#### ", "#    ", "#    ", "#    "}},
      {'Q', {" ### ", "#   #", "#   #", "#   #", "# # #", "#  # ", " ## #"}},
      {'R', {"#### ", "#   #", "#   #", "#### ", "# #  ", "#  # ", "#   #"}},
      {'S', {" ####", "#    ", "#    ", " ### ", "    #", "    #", "#### "}},
      {'T', {"#####", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  "}},
      {'U', {"#   #", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "}},
      {'V', {"#   #", "#   #", "#   #", "#   #", " # # ", " # # ", "  #  "}},
      {'W', {"#   #", "#   #", "#   #", "# # #", "# # #", "## ##", "#   #"}},
      {'X', {"#   #", "#   #", " # # ", "  #  ", " # # ", "#   #", "#   #"}},
      {'Y', {"#   #", "#   #", " # # ", "  #  ", "  #  ", "  #  ", "  #  "}},
      {'Z', {"#####", "    #", "   # ", "  #  ", " #   ", "#    ", "#####"}},
      {'a', {"     ", "     ", " ### ", "    #", " ####", "#   #", " ####"}},
      {'b', {"#    ", "#    ", "# ## ", "##  #", "#   #", "#   #", "#### "}},
      {'c', {"     ", "     ", " ### ", "#    ", "#    ", "#   #", " ### "}},
      {'d', {"    #", "    #", " ## #", "#  ##", "#   #", "#   #", " ####"}},
      {'e', {"     ", "     ", " ### ", "#   #", "#####", "#    ", " ### "}},
      {'f', {"  ## ", " #  #", " #   ", "###  ", " #   ", " #   ", " #   "}},
      {'g', {"     ", "     ", " ####", "#   #", "#   #", "#   #", " ####", "    #", " ### "}},
      {'h', {"#    ", "#    ", "# ## ", "##  #", "#   #", "#   #", "#   #"}},
      {'i', {"  #  ", "     ", " ##  ", "  #  ", "  #  ", "  #  ", " ### "}},
      {'j', {"   # ", "     ", "  ## ", "   # ", "   # ", "   # ", "   # ", "#  # ", " ##  "}},
      {'k', {"#    ", "#    ", "#  # ", "# #  ", "##   ", "# #  ", "#  # "}},
      {'l', {" ##  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
      {'m', {"     ", "     ", "## # ", "# # #", "# # #", "# # #", "# # #"}},
      {'n', {"     ", "     ", "# ## ", "##  #", "#   #", "#   #", "#   #"}},
      {'o', {"     ", "     ", " ### ", "#   #", "#   #", "#   #", " ### "}},
      {'p', {"     ", "     ", "#### ", "#   #", "#   #", "#   #", "#### ", "#    ", "#    "}},
      {'q', {"     ", "     ", " ## #", "#  ##", "#   #", "#  ##", " ## #", "    #", "    #"}},
      {'r', {"     ", "     ", "# ## ", "##  #", "#    ", "#    ", "#    "}},
      {'s', {"     ", "     ", " ####", "#    ", " ### ", "    #", "#### "}},
      {'t', {" #   ", " #   ", "###  ", " #   ", " #   ", " #  #", "  ## "}},
      {'u', {"     ", "     ", "#   #", "#   #", "#   #", "#  ##", " ## #"}},
      {'v', {"     ", "     ", "#   #", "#   #", "#   #", " # # ", "  #  "}},
      {'w', {"     ", "     ", "#   #", "#   #", "# # #", "# # #", " # # "}},
      {'x', {"     ", "     ", "#   #", " # # ", "  #  ", " # # ", "#   #"}},
      {'y', {"     ", "     ", "#   #", "#   #", "#   #", "#   #", " ####", "    #", " ### "}},
      {'z', {"     ", "     ", "#####", "   # ", "  #  ", " #   ", "#####"}},
      {'0', {" ### ", "#   #", "#  ##", "# # #", "##  #", "#   #", " ### "}},
      {'1', {"  #  ", " ##  ", "  #  ", "  #  ", "  #  ", "  #  ", " ### "}},
      {'2', {" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"}},
      {'3', {"#### ", "    #", "    #", " ### ", "    #", "    #", "#### "}},
      {'4', {"#   #", "#   #", "#   #", "#####", "    #", "    #", "    #"}},
      {'5', {"#####", "#    ", "#### ", "    #", "    #", "#   #", " ### "}},
      {'6', {" ### ", "#    ", "#    ", "#### ", "#   #", "#   #", " ### "}},
      {'7', {"#####", "    #", "   # ", "  #  ", "  #  ", " #   ", " #   "}},
      {'8', {" ### ", "#   #", "#   #", " ### ", "#   #", "#   #", " ### "}},
      {'9', {" ### ", "#   #", "#   #", " ####", "    #", "    #", " ### "}},
      {'.', {"     ", "     ", "     ", "     ", "     ", " ##  ", " ##  "}},
      {',', {"     ", "     ", "     ", "     ", " ##  ", "  #  ", " #   "}},
      {':', {"     ", " ##  ", " ##  ", "     ", " ##  ", " ##  ", "     "}},
      {'-', {"     ", "     ", "     ", " ### ", "     ", "     ", "     "}},
      {'+', {"     ", "  #  ", "  #  ", "#####", "  #  ", "  #  ", "     "}},
      {'=', {"     ", "     ", "#####", "     ", "#####", "     ", "     "}},
      {'*', {"     ", "# # #", " ### ", "#####", " ### ", "# # #", "     "}},
      {'%', {"##  #", "##  #", "   # ", "  #  ", " #   ", "#  ##", "#  ##"}},
      {'/', {"    #", "    #", "   # ", "  #  ", " #   ", "#    ", "#    "}},
      {'|', {"  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  "}},
      {'(', {"   # ", "  #  ", " #   ", " #   ", " #   ", "  #  ", "   # "}},
      {')', {" #   ", "  #  ", "   # ", "   # ", "   # ", "  #  ", " #   "}},
      {'_', {"     ", "     ", "     ", "     ", "     ", "     ", "#####"}},
  };
  return all;
}

/// Where place `i` of `count` lies among `size` points, and how far after the first of two neighbours.
struct Between {
  Between(int64_t i, int64_t count, int64_t size) {
    const double place = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    const double point =
        std::clamp(place * static_cast<double>(size) - 0.5, 0.0, static_cast<double>(size - 1));
    first = static_cast<int64_t>(point);
    second = std::min(first + 1, size - 1);
    share = point - static_cast<double>(first);
  }
  /// On a point.
  explicit Between(int64_t point) : first(point), second(point), share(0) {}

  int64_t first, second;
  double share;
};

/// Interpolates value(h, w) between four neighbouring points.
template <class Value>
double bilinear(const Between& row, const Between& column, const Value& value) {
  const auto along = [&](int64_t h) {
    return std::lerp(value(h, column.first), value(h, column.second), column.share);
  };
  return std::lerp(along(row.first), along(row.second), row.share);
}

/// Where place `i` of `count` lies in a picture: on a point where each is a square of a few places.
Between drawn_between(int64_t i, int64_t count, int64_t size) {
  constexpr int64_t kSquare = 4;
  const int64_t factor = count / size;
  return count % size == 0 && factor <= kSquare ? Between(i / factor) : Between(i, count, size);
}

/// The map's values at height x width places, each between those that `between` finds.
template <class Find>
Tensor resized(std::span<const float> map, int64_t H, int64_t W, int64_t height, int64_t width,
               const Find& between) {
  check(std::ssize(map) == H * W && H > 0 && W > 0, "resized_map: ", map.size(), " values, wanted ", H, "x",
        W);
  Tensor result = Tensor::empty({height, width});
  auto* out = result.data<float>();
  for (int64_t h = 0; h < height; ++h) {
    const Between row = between(h, height, H);
    for (int64_t w = 0; w < width; ++w) {
      out[h * width + w] = static_cast<float>(bilinear(row, between(w, width, W), [&](int64_t y, int64_t x) {
        return static_cast<double>(map[static_cast<size_t>(y * W + x)]);
      }));
    }
  }
  return result;
}

}  // namespace

Colour heat(double value) {
  // Equal steps of lightness as well as of hue, so that it can be read in grey.
  constexpr std::array<std::array<double, 3>, 6> kStops{
      {{10, 8, 45}, {70, 18, 110}, {150, 38, 104}, {222, 76, 66}, {249, 156, 48}, {252, 248, 176}}};
  if (std::isnan(value)) return {128, 128, 128};
  const double place = std::clamp(value, 0.0, 1.0) * (kStops.size() - 1);
  const size_t stop = std::min(static_cast<size_t>(place), kStops.size() - 2);
  Colour colour;
  for (size_t c = 0; c < 3; ++c) {
    const double mixed = std::lerp(kStops[stop][c], kStops[stop + 1][c], place - static_cast<double>(stop));
    colour[c] = static_cast<uint8_t>(std::lround(mixed));
  }
  return colour;
}

Picture::Picture(int64_t height, int64_t width) : pixels_(Tensor::full({height, width, 3}, 255, Dtype::u8)) {}

uint8_t* Picture::at(int64_t h, int64_t w) {
  return pixels_.data<uint8_t>() + (h * width() + w) * 3;
}

void Picture::fill(int64_t top, int64_t left, int64_t height, int64_t width, Colour colour) {
  for (int64_t h = std::max<int64_t>(top, 0); h < std::min(top + height, this->height()); ++h) {
    for (int64_t w = std::max<int64_t>(left, 0); w < std::min(left + width, this->width()); ++w) {
      std::copy(colour.begin(), colour.end(), at(h, w));
    }
  }
}

void Picture::write(int64_t top, int64_t left, std::string_view text, Colour colour, int64_t scale) {
  for (const char c : text) {
    const auto glyph = glyphs().find(c);
    for (int64_t h = 0; h < kRows && glyph != glyphs().end(); ++h) {
      const char* row = glyph->second[static_cast<size_t>(h)];
      for (int64_t w = 0; row != nullptr && w < kColumns; ++w) {
        if (row[w] == ' ') continue;
        fill(top + h * scale, left + w * scale, scale, scale, colour);
      }
    }
    left += kGlyphWidth * scale;
  }
}

void Picture::draw_image(int64_t top, int64_t left, int64_t height, int64_t width, const Tensor& image) {
  const int64_t H = image.shape(0), W = image.shape(1);
  const auto* from = image.data<uint8_t>();
  for (int64_t h = 0; h < height; ++h) {
    const Between row = drawn_between(h, height, H);
    for (int64_t w = 0; w < width; ++w) {
      const Between column = drawn_between(w, width, W);
      Colour colour;
      for (int64_t c = 0; c < 3; ++c) {
        const double value = bilinear(row, column, [&](int64_t y, int64_t x) {
          return static_cast<double>(from[(y * W + x) * 3 + c]);
        });
        colour[static_cast<size_t>(c)] = static_cast<uint8_t>(std::lround(value));
      }
      fill(top + h, left + w, 1, 1, colour);
    }
  }
}

void Picture::draw_map(int64_t top, int64_t left, int64_t height, int64_t width, std::span<const float> map,
                       int64_t H, int64_t W, double least, double greatest) {
  constexpr double kSteps = 63;  // more are not seen, and make the file larger
  const Tensor drawn = resized(map, H, W, height, width, drawn_between);
  const auto* values = drawn.data<float>();
  const double range = greatest > least ? greatest - least : 1;
  for (int64_t i = 0; i < height * width; ++i) {
    const double value = std::round((values[i] - least) / range * kSteps) / kSteps;
    fill(top + i / width, left + i % width, 1, 1, heat(value));
  }
}

Tensor resized_map(std::span<const float> map, int64_t H, int64_t W, int64_t height, int64_t width) {
  return resized(map, H, W, height, width,
                 [](int64_t i, int64_t count, int64_t size) { return Between(i, count, size); });
}

}  // namespace fovea::cli
