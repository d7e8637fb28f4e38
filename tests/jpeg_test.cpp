// JPEG files: those that Pillow wrote and read (tests/golden/make_images.py), and small ones made here.
#include <catch2/catch.hpp>

#include "golden_images.h"
#include "image_file.h"
#include "jpeg_file.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

Tensor read(const std::string& file) {
  return parse_jpeg(bytes_of(file), "a.jpg");
}

std::string error_of(const std::string& file) {
  return message_of<DataError>([&] { read(file); });
}

// The stored files, by name.
std::vector<std::pair<std::string, std::string>> stored_files() {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& [name, tensor] : golden_images("jpeg.")) {
    if (!name.ends_with(".file")) continue;
    const auto bytes = tensor.span<uint8_t>();
    files.emplace_back(name.substr(0, name.size() - 5), std::string(bytes.begin(), bytes.end()));
  }
  return files;
}

TEST_CASE("jpeg: pixels as Pillow reads them, every orientation included") {
  const auto files = stored_files();
  CHECK(files.size() == 14);
  for (const auto& [name, file] : files) {
    INFO(name);
    check_alike(read(file), golden_images(name + ".pixels").at(0).tensor, /*most=*/1, /*share=*/0.99);
  }
}

TEST_CASE("jpeg: small files are grey in the middle") {
  for (const JpegOf& image :
       {JpegOf{}, JpegOf{.channels = 3}, JpegOf{.process = 0xc2}, JpegOf{.width = 1, .height = 1},
        JpegOf{.width = 33, .height = 9, .channels = 3}, JpegOf{.channels = 3, .adobe = 0}}) {
    const Tensor pixels = read(jpeg(image));
    CHECK(pixels.shape() == Shape{image.height, image.width, 3});
    for (const uint8_t value : pixels.span<uint8_t>()) REQUIRE(value == 128);
  }
}

TEST_CASE("jpeg: EXIF in both orders of bytes; one that makes no sense is passed over") {
  const auto shape = [](const std::string& exif) { return read(jpeg({.exif = exif})).shape(); };
  const Shape stored{8, 16, 3}, turned{16, 8, 3};
  for (const bool is_intel : {true, false}) {
    CHECK(shape(exif_of(3, is_intel)) == stored);
    CHECK(shape(exif_of(6, is_intel)) == turned);
    for (const int none : {0, 9, 255}) CHECK(shape(exif_of(none, is_intel)) == stored);
    CHECK(shape(exif_of(6, is_intel, /*type=*/4)) == stored);
    const std::string whole = exif_of(6, is_intel);
    for (size_t size = 1; size < 19; ++size) CHECK(shape(whole.substr(0, size)) == stored);
    for (size_t at = 0; at < 8; ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0xf0);
      CHECK(shape(damaged) == stored);
    }
  }
}

TEST_CASE("jpeg: cut short at any place is an error") {
  for (const auto& [name, file] : stored_files()) {
    INFO(name);
    int accepted = 0;
    for (size_t size = 0; size < file.size(); ++size) {
      try {
        read(file.substr(0, size));
        ++accepted;
      } catch (const DataError& error) {
        if (size % 100 == 50)
          CHECK_THAT(error.what(), Contains("read_jpeg: a.jpg") && Contains(std::to_string(size)));
      }
    }
    CHECK(accepted == 0);
  }
}

TEST_CASE("jpeg: a damaged byte anywhere never crashes") {
  for (const auto& [name, file] : stored_files()) {
    if (name.find("exif") != std::string::npos) continue;
    int errors = 0;
    for (size_t at = 0; at < file.size(); ++at) {
      for (const int change : {1, 0x80, 0xff}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        try {
          const Tensor pixels = read(damaged);
          CHECK(pixels.shape(2) == 3);
        } catch (const DataError&) {
          ++errors;
        }
      }
    }
    CHECK(errors > 100);
  }
}

TEST_CASE("jpeg: kinds that are not read say so, and what to do") {
  CHECK_THAT(error_of(jpeg({.channels = 4})), Contains("CMYK colours") && Contains("save it as RGB"));
  CHECK_THAT(error_of(jpeg({.channels = 4, .adobe = 2})), Contains("CMYK colours"));
  CHECK_THAT(error_of(jpeg({.channels = 2})), Contains("2 channels found, wanted 3 or 1"));
  for (const JpegOf& image :
       {JpegOf{.process = 0xc5}, JpegOf{.process = 0xc1, .precision = 12}, JpegOf{.width = 65501}})
    CHECK_THAT(error_of(jpeg(image)),
               Contains("a kind of JPEG that is not read") && Contains("save it anew"));
  CHECK_THAT(error_of(jpeg({.width = 65500, .height = 65500, .has_end = false}).substr(0, 600)),
             Contains("65500x65500 pixels, expected at most"));
}

TEST_CASE("jpeg: an end that is missing, and more scans than there can be, are damage") {
  CHECK_THAT(error_of(jpeg({.has_end = false})),
             Contains("damaged or cut short (Premature end of JPEG file)"));
  std::string scans = jpeg({.channels = 3, .scans = 1, .has_end = false});
  const std::string scan = jpeg_marker(0xda, std::string("\1\1\0\0\x3f\0", 6)) + "\x0f";  // of one channel
  scans.resize(scans.rfind("\xff\xda"));
  for (int i = 0; i < 501; ++i) scans += scan;
  CHECK_THAT(error_of(scans + "\xff\xd9"), Contains("more than 500 scans"));
}

TEST_CASE("jpeg: a stop is seen within a scan, and between rows") {
  for (const int process : {0xc0, 0xc2}) {
    const std::string file = jpeg({.width = 512, .height = 512, .process = process});
    int asked = 0;
    parse_jpeg(bytes_of(file), "a.jpg", [&] { return ++asked < 0; });
    CHECK(asked >= 512 + (process == 0xc2 ? 512 / 8 : 0));  // each row, and each row of blocks of the scan
    for (const int when : {1, 10, 70, 200, 512}) {
      int calls = 0;
      CHECK_THAT(message_of<DataError>(
                     [&] { parse_jpeg(bytes_of(file), "a.jpg", [&] { return ++calls == when; }); }),
                 Contains("read_jpeg: a.jpg: stopped before the end"));
      CHECK(calls == when);
    }
  }
}

TEST_CASE("jpeg: scans times pixels are bounded, so that no file takes minutes") {
  const auto scans_of = [](int side, int scans) {
    std::string file = jpeg({.width = side, .height = side, .process = 0xc2, .has_end = false});
    const std::string one_code = std::string("\x10\1") + std::string(15, '\0') + "\xe0";  // 16384 blocks of 0
    file += jpeg_marker(0xc4, one_code);
    const int runs = side / 8 * (side / 8) / 32767 + 1;  // each the code 0 and 14 bits that are 1
    std::string bits;
    for (int i = 0; i < runs; ++i) bits += "0" + std::string(14, '1');
    bits.resize((bits.size() + 7) / 8 * 8, '1');
    std::string data;
    for (size_t at = 0; at < bits.size(); at += 8) {
      data += static_cast<char>(std::stoi(bits.substr(at, 8), nullptr, 2));
      if (data.back() == '\xff') data += '\0';
    }
    for (int i = 1; i < scans; ++i) {
      const char frequency = static_cast<char>((i - 1) % 63 + 1);
      const int bit = 13 - (i - 1) / 63;
      const int step = bit == 13 ? bit : (bit + 1) << 4 | bit;
      file += jpeg_marker(0xda, std::string("\1\1\0", 3) + frequency + frequency + static_cast<char>(step)) +
              data;
    }
    return file + "\xff\xd9";
  };
  CHECK(read(scans_of(64, 490)).shape() == Shape{64, 64, 3});
  CHECK_THAT(error_of(scans_of(64, 510)), Contains("more than 500 scans of 64x64 pixels"));
  CHECK(read(scans_of(8192, 12)).shape() == Shape{8192, 8192, 3});
  CHECK_THAT(error_of(scans_of(8192, 490)), Contains("read_jpeg: a.jpg: the image is damaged") &&
                                                Contains("more than 128 scans of 8192x8192 pixels"));
}

TEST_CASE("jpeg: 50 megapixels, as photos of today have") {
  for (const int process : {0xc0, 0xc2})
    CHECK(read(jpeg({.width = 8688, .height = 5792, .channels = 3, .process = process})).shape() ==
          Shape{5792, 8688, 3});
}

}  // namespace
