#pragma once

#include <zlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "test_files.h"

namespace fovea {

/// Four bytes, the highest first.
inline std::string big_endian(uint32_t number) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(number >> shift);
  return text;
}

/// A chunk of a PNG file, with its checksum.
inline std::string chunk(const std::string& type, const std::string& contents) {
  const std::string body = type + contents;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(contents.size())) + body + big_endian(static_cast<uint32_t>(crc));
}

/// A PNG file from its parts: colour type 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha. `rows`
/// holds each row after its filter, 0 for none.
inline std::string png(uint32_t width, uint32_t height, char depth, char colour_type, const std::string& rows,
                       const std::string& more_chunks = "", bool interlaced = false,
                       size_t idat_bytes = 1 << 30, int level = -1) {
  uLongf size = compressBound(static_cast<uLong>(rows.size()));
  std::string packed(size, '\0');
  REQUIRE(compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                    reinterpret_cast<const Bytef*>(rows.data()), static_cast<uLong>(rows.size()),
                    level) == Z_OK);
  packed.resize(size);
  const std::string header = big_endian(width) + big_endian(height) + depth + colour_type +
                             std::string(2, '\0') + static_cast<char>(interlaced);
  std::string file = "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + more_chunks;
  for (size_t at = 0; at < packed.size(); at += idat_bytes)
    file += chunk("IDAT", packed.substr(at, idat_bytes));
  return file + chunk("IEND", "");
}

/// An image as its samples, and how it is to be written.
struct PngImageOf {
  int width = 0, height = 0, depth = 8, colour_type = 0;
  std::vector<int> samples{};  // [height, width, channels]
  bool interlaced = false;
  int filter = 0;  // 0 to 4; 5: another one in each row
  std::string more_chunks{};
  size_t idat_bytes = 1 << 30;
  int level = -1;  // of zlib

  int channels() const { return colour_type == 2 ? 3 : colour_type == 4 ? 2 : colour_type == 6 ? 4 : 1; }
  int sample(int y, int x, int c) const {
    return samples[static_cast<size_t>((y * width + x) * channels() + c)];
  }
};

/// The bytes of the pixels (x, y), (x + dx, y), ... of a row.
inline std::string packed_row(const PngImageOf& image, int y, int x, int dx) {
  std::string row;
  int bits = 0, filled = 0;
  for (; x < image.width; x += dx) {
    for (int c = 0; c < image.channels(); ++c) {
      const int value = image.sample(y, x, c);
      if (image.depth == 16) row += static_cast<char>(value >> 8);
      if (image.depth >= 8) {
        row += static_cast<char>(value);
        continue;
      }
      bits = bits << image.depth | value;
      filled += image.depth;
      if (filled == 8) row += static_cast<char>(bits), bits = filled = 0;
    }
  }
  if (filled > 0) row += static_cast<char>(bits << (8 - filled));
  return row;
}

/// A row after its filter (PNG specification, 9.2), `above` the row before it.
inline std::string filtered_row(const std::string& row, const std::string& above, int filter,
                                size_t pixel_bytes) {
  std::string out(1, static_cast<char>(filter));
  for (size_t i = 0; i < row.size(); ++i) {
    const auto at = [&](const std::string& line, bool is_before) {
      if (line.empty() || (is_before && i < pixel_bytes)) return 0;
      return static_cast<int>(static_cast<unsigned char>(line[is_before ? i - pixel_bytes : i]));
    };
    const int a = at(row, true), b = at(above, false), c = at(above, true), p = a + b - c;
    const int pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
    const int paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    const int predicted[] = {0, a, b, (a + b) / 2, paeth};
    out += static_cast<char>(static_cast<unsigned char>(row[i]) - predicted[filter]);
  }
  return out;
}

/// The file of an image.
inline std::string png(const PngImageOf& image) {
  struct Pass {
    int x, y, dx, dy;
  };
  // Adam7 (PNG specification, 8.2), or all rows as they are.
  const std::vector<Pass> passes =
      image.interlaced ? std::vector<Pass>{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
                       : std::vector<Pass>{{0, 0, 1, 1}};
  const auto pixel_bytes = static_cast<size_t>(std::max(1, image.channels() * image.depth / 8));
  std::string rows;
  for (const Pass& pass : passes) {
    if (pass.x >= image.width) continue;
    std::string above;
    for (int y = pass.y; y < image.height; y += pass.dy) {
      const std::string row = packed_row(image, y, pass.x, pass.dx);
      rows += filtered_row(row, above, image.filter < 5 ? image.filter : y % 5, pixel_bytes);
      above = row;
    }
  }
  return png(static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height),
             static_cast<char>(image.depth), static_cast<char>(image.colour_type), rows, image.more_chunks,
             image.interlaced, image.idat_bytes, image.level);
}

}  // namespace fovea
