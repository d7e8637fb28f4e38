// Every kind of file that PngSuite (Willem van Schaik) has, made here from samples that are known: depths and
// colour types in both forms, sizes, transparency, backgrounds, filters, gamma, split and packed data.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>

#include "image_file.h"
#include "png_file.h"

using namespace fovea;

namespace {

struct Kind {
  int depth, colour_type;
};

constexpr Kind kKinds[] = {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {16, 0}, {8, 2}, {16, 2}, {1, 3},
                           {2, 3}, {4, 3}, {8, 3}, {8, 4}, {16, 4}, {8, 6}, {16, 6}};

bool has_alpha(int colour_type) {
  return colour_type >= 4;
}

// Red, green and blue of entry i.
std::vector<int> palette_entry(int i) {
  return {i * 37 % 256, 255 - i, i * i % 256};
}

std::string palette_chunk(int depth) {
  std::string entries;
  for (int i = 0; i < 1 << depth; ++i) {
    for (const int value : palette_entry(i)) entries += static_cast<char>(value);
  }
  return chunk("PLTE", entries);
}

// Random samples; alpha is nothing or all, so that what is right is exact.
PngImageOf image_of(const Kind& kind, int width, int height, unsigned seed = 1) {
  PngImageOf image{.width = width, .height = height, .depth = kind.depth, .colour_type = kind.colour_type};
  const int most = (1 << kind.depth) - 1, C = image.channels();
  std::mt19937 random(seed);
  for (int i = 0; i < width * height * C; ++i) {
    const int value = static_cast<int>(random() % static_cast<unsigned>(most + 1));
    const bool is_alpha = has_alpha(kind.colour_type) && i % C == C - 1;
    image.samples.push_back(is_alpha ? value % 2 * most : value);
  }
  if (kind.colour_type == 3) image.more_chunks = palette_chunk(kind.depth);
  return image;
}

// What read_png is to give; `is_transparent` says it of a colour, or of an entry of the palette.
std::vector<int> wanted(const PngImageOf& image,
                        const std::function<bool(const std::vector<int>&)>& is_transparent = {}) {
  const int C = image.channels(), most = (1 << image.depth) - 1;
  const int colours = has_alpha(image.colour_type) ? C - 1 : C;
  std::vector<int> all;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      std::vector<int> colour;
      for (int c = 0; c < colours; ++c) colour.push_back(image.sample(y, x, c));
      bool shows_white = has_alpha(image.colour_type) && image.sample(y, x, C - 1) == 0;
      if (is_transparent && is_transparent(colour)) shows_white = true;
      if (image.colour_type == 3) {
        colour = palette_entry(colour[0]);
      } else {
        for (int& value : colour) value = (value * 255 + most / 2) / most;  // round(v * 255 / most)
      }
      if (colour.size() == 1) colour.resize(3, colour[0]);
      for (const int value : colour) all.push_back(shows_white ? 255 : value);
    }
  }
  return all;
}

std::vector<int> read(const PngImageOf& image) {
  const Tensor pixels = parse_png(bytes_of(png(image)), "a.png");
  const auto bytes = pixels.span<uint8_t>();
  return {bytes.begin(), bytes.end()};
}

// In both forms.
void check_read(PngImageOf image, const std::vector<int>& right) {
  for (const bool interlaced : {false, true}) {
    INFO("depth " << image.depth << ", colour type " << image.colour_type << ", " << image.width << "x"
                  << image.height << ", interlaced " << interlaced << ", filter " << image.filter);
    image.interlaced = interlaced;
    CHECK(read(image) == right);
  }
}

std::string two_bytes(int value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

}  // namespace

TEST_CASE("png_kinds: each depth and colour type, with each filter") {
  for (const Kind& kind : kKinds) {
    PngImageOf image = image_of(kind, 32, 32);
    for (image.filter = 0; image.filter <= 5; ++image.filter) check_read(image, wanted(image));
  }
}

TEST_CASE("png_kinds: sizes from 1x1 to 40x40, where passes are empty") {
  for (const Kind& kind : kKinds) {
    for (int size = 1; size <= 40; size += size < 9 ? 1 : 7) {
      check_read(image_of(kind, size, size), wanted(image_of(kind, size, size)));
      check_read(image_of(kind, size, 3), wanted(image_of(kind, size, 3)));
      check_read(image_of(kind, 2, size), wanted(image_of(kind, 2, size)));
    }
  }
}

TEST_CASE("png_kinds: every 16-bit value, round(v * 255 / 65535)") {
  for (const int colour_type : {0, 2, 4, 6}) {
    PngImageOf image{.width = 256, .height = 256, .depth = 16, .colour_type = colour_type};
    const int C = image.channels();
    for (int v = 0; v < 65536; ++v) {
      for (int c = 0; c < C; ++c) image.samples.push_back(has_alpha(colour_type) && c == C - 1 ? 65535 : v);
    }
    std::vector<int> right;
    for (int v = 0; v < 65536; ++v)
      right.resize(right.size() + 3, static_cast<int>(std::lround(v * 255 / 65535.0)));
    for (const bool interlaced : {false, true}) {
      image.interlaced = interlaced;
      const bool is_right = read(image) == right;
      INFO("colour type " << colour_type << ", interlaced " << interlaced);
      CHECK(is_right);
    }
  }
}

TEST_CASE("png_kinds: one transparent colour, or entries of the palette") {
  for (const Kind& kind : kKinds) {
    if (has_alpha(kind.colour_type)) continue;
    PngImageOf image = image_of(kind, 32, 32);
    if (kind.colour_type == 3) {
      image.more_chunks += chunk("tRNS", std::string("\0\xff\0", 3).substr(0, size_t{1} << kind.depth));
      check_read(image, wanted(image, [](const auto& entry) { return entry[0] == 0 || entry[0] == 2; }));
      continue;
    }
    std::vector<int> colour;
    std::string contents;
    for (int c = 0; c < image.channels(); ++c) {
      colour.push_back(image.sample(3, 5, c));
      contents += two_bytes(colour.back());
    }
    image.more_chunks = chunk("tRNS", contents);
    check_read(image, wanted(image, [&](const auto& found) { return found == colour; }));
  }
}

TEST_CASE("png_kinds: backgrounds, significant bits, texts, times and split data change nothing") {
  for (const Kind& kind : kKinds) {
    PngImageOf image = image_of(kind, 32, 32);
    const std::vector<int> right = wanted(image);
    const std::string plain = image.more_chunks;
    const bool is_grey = kind.colour_type == 0 || kind.colour_type == 4;
    const std::string background = kind.colour_type == 3 ? std::string(1, '\1')
                                   : is_grey             ? two_bytes(1)
                                                         : two_bytes(1) + two_bytes(0) + two_bytes(1);
    image.more_chunks = plain + chunk("bKGD", background);
    check_read(image, right);
    const std::string bits(static_cast<size_t>(kind.colour_type == 3 ? 3 : image.channels()), '\1');
    image.more_chunks = chunk("sBIT", bits) + plain + chunk("pHYs", big_endian(1) + big_endian(4) + '\0') +
                        chunk("tIME", two_bytes(2000) + std::string("\1\1\14\42\70", 5)) +
                        chunk("tEXt", std::string("Title\0PngSuite", 14));
    check_read(image, right);
    image.more_chunks = plain;
    for (const size_t idat_bytes : {size_t{1}, size_t{7}, size_t{4096}}) {
      image.idat_bytes = idat_bytes;
      check_read(image, right);
    }
    for (image.level = 0; image.level <= 9; image.level += 3) check_read(image, right);
  }
}

TEST_CASE("png_kinds: gamma is the same in both forms, and in 16 bits what it is in 8") {
  for (const int gamma : {35000, 45455, 55000, 70000, 100000, 250000}) {
    INFO(gamma);
    for (const Kind& kind : kKinds) {
      PngImageOf image = image_of(kind, 32, 32);
      image.more_chunks = chunk("gAMA", big_endian(static_cast<uint32_t>(gamma))) + image.more_chunks;
      const std::vector<int> right = read(image);
      check_read(image, right);
      if (gamma == 45455) CHECK(right == wanted(image));  // sRGB's
      if (kind.depth != 8 || kind.colour_type == 3) continue;
      for (int& sample : image.samples) sample *= 257;
      image.depth = 16;
      const std::vector<int> of_16 = read(image);
      int farthest = 0;
      for (size_t i = 0; i < right.size(); ++i) farthest = std::max(farthest, std::abs(right[i] - of_16[i]));
      CHECK(farthest <= 1);
    }
  }
}

TEST_CASE("png_kinds: half transparent in front of white, mixed as light") {
  for (const int colour_type : {4, 6}) {
    PngImageOf image = image_of({8, colour_type}, 32, 32);
    std::mt19937 random(3);
    for (int& sample : image.samples) sample = static_cast<int>(random() % 256);
    const std::vector<int> of_8 = read(image);
    check_read(image, of_8);
    for (int& sample : image.samples) sample *= 257;
    image.depth = 16;
    const std::vector<int> of_16 = read(image);
    check_read(image, of_16);
    const int C = image.channels();
    int from_formula = 0, from_8 = 0;
    for (int i = 0; i < 32 * 32 * 3; ++i) {
      const int pixel = i / 3, c = C == 4 ? i % 3 : 0;
      const double alpha = image.sample(0, pixel, C - 1) / 65535.0;
      const double light = alpha * std::pow(image.sample(0, pixel, c) / 65535.0, 2.2) + 1 - alpha;
      const auto right = static_cast<int>(std::lround(255 * std::pow(light, 1 / 2.2)));
      from_formula = std::max(from_formula, std::abs(of_16[static_cast<size_t>(i)] - right));
      from_8 = std::max(from_8, std::abs(of_16[static_cast<size_t>(i)] - of_8[static_cast<size_t>(i)]));
    }
    CHECK(from_formula == 0);
    CHECK(from_8 <= 3);  // where libpng has 8 bits for light, too
  }
}

TEST_CASE("png_kinds: a stop is seen every few kilobytes of a file, and every row of 16 bits") {
  for (const Kind& kind : {Kind{8, 2}, Kind{8, 6}, Kind{16, 0}, Kind{16, 6}}) {
    for (const bool interlaced : {false, true}) {
      PngImageOf image = image_of(kind, 300, 300);
      image.interlaced = interlaced;
      const std::string file = png(image);
      INFO("depth " << kind.depth << ", colour type " << kind.colour_type << ", " << file.size() << " bytes");
      int asked = 0;
      parse_png(bytes_of(file), "a.png", [&] { return ++asked < 0; });
      CHECK(asked >= static_cast<int>(file.size() >> 14) + (kind.depth == 16 ? 300 : 0));
      for (const int when : {1, 2, asked / 2, asked}) {
        int calls = 0;
        std::string message;
        try {
          parse_png(bytes_of(file), "a.png", [&] { return ++calls == when; });
        } catch (const DataError& error) {
          message = error.what();
        }
        CHECK(message == "read_png: a.png: stopped before the end of the image");
        CHECK(calls == when);
      }
    }
  }
}

TEST_CASE("png_kinds: damaged files are errors, and no byte of a 16-bit one crashes") {
  const PngImageOf image = [] {
    PngImageOf made = image_of({16, 6}, 9, 9);
    made.interlaced = true;
    return made;
  }();
  const std::string file = png(image);
  int accepted = 0;
  for (size_t size = 0; size < file.size() - 20; ++size) {
    try {
      parse_png(bytes_of(file.substr(0, size)), "a.png");
      ++accepted;
    } catch (const DataError&) {
    }
  }
  CHECK(accepted == 0);
  int errors = 0;
  for (size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    try {
      parse_png(bytes_of(damaged), "a.png");
    } catch (const DataError&) {
      ++errors;
    }
  }
  CHECK(errors > 100);
  // PngSuite's x files: signatures, depths and colour types that are none, checksums, no data.
  for (const Kind& kind : {Kind{0, 2}, {3, 0}, {99, 2}, {8, 1}, {8, 9}, {16, 3}}) {
    CHECK_THROWS_AS(parse_png(bytes_of(png(1, 1, static_cast<char>(kind.depth),
                                           static_cast<char>(kind.colour_type), std::string(20, '\0'))),
                              "a.png"),
                    DataError);
  }
  CHECK_THROWS_AS(parse_png(bytes_of(file.substr(0, 33) + chunk("IEND", "")), "a.png"), DataError);
}
