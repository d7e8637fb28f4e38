#include "image_file.h"

#include <catch2/catch.hpp>
#include <vector>

#include "png_file.h"

using namespace fovea;
using Catch::Contains;

namespace {

std::vector<int> values(const Tensor& image) {
  const auto bytes = image.span<uint8_t>();
  return {bytes.begin(), bytes.end()};
}

std::vector<int> read(const std::string& file) {
  return values(parse_png(bytes_of(file), "a.png"));
}

std::string text(std::initializer_list<int> bytes) {
  std::string result;
  for (const int byte : bytes) result += static_cast<char>(byte);
  return result;
}

}  // namespace

TEST_CASE("image_file: RGB as it is, from a file") {
  TemporaryFolder folder;
  write_file(folder / "a.png", png(2, 2, 8, 2, text({0, 1, 2, 3, 4, 5, 6, 0, 250, 251, 252, 253, 254, 255})));
  const Tensor image = read_image(folder / "a.png");
  CHECK(image.shape() == Shape{2, 2, 3});
  CHECK(values(image) == std::vector<int>{1, 2, 3, 4, 5, 6, 250, 251, 252, 253, 254, 255});
}

TEST_CASE("image_file: grey of 1, 8 and 16 bits becomes three equal channels") {
  CHECK(read(png(2, 1, 1, 0, text({0, 0b01000000}))) == std::vector<int>{0, 0, 0, 255, 255, 255});
  CHECK(read(png(2, 1, 8, 0, text({0, 7, 200}))) == std::vector<int>{7, 7, 7, 200, 200, 200});
  CHECK(read(png(2, 1, 16, 0, text({0, 100, 100, 255, 255}))) ==
        std::vector<int>{100, 100, 100, 255, 255, 255});
}

TEST_CASE("image_file: 16-bit RGB becomes 8-bit") {
  CHECK(read(png(1, 1, 16, 2, text({0, 10, 10, 128, 128, 255, 255}))) == std::vector<int>{10, 128, 255});
}

TEST_CASE("image_file: palettes become their colours") {
  const std::string palette = chunk("PLTE", text({10, 20, 30, 40, 50, 60}));
  CHECK(read(png(3, 1, 8, 3, text({0, 1, 0, 1}), palette)) ==
        std::vector<int>{40, 50, 60, 10, 20, 30, 40, 50, 60});
}

TEST_CASE("image_file: what is transparent shows white") {
  CHECK(read(png(3, 1, 8, 6, text({0, 9, 8, 7, 255, 9, 8, 7, 0, 0, 0, 0, 255}))) ==
        std::vector<int>{9, 8, 7, 255, 255, 255, 0, 0, 0});
  CHECK(read(png(2, 1, 8, 4, text({0, 50, 255, 50, 0}))) == std::vector<int>{50, 50, 50, 255, 255, 255});
  const std::string palette = chunk("PLTE", text({10, 20, 30, 40, 50, 60})) + chunk("tRNS", text({255, 0}));
  CHECK(read(png(2, 1, 8, 3, text({0, 0, 1}), palette)) == std::vector<int>{10, 20, 30, 255, 255, 255});
}

TEST_CASE("image_file: cut short at any place before the end of the pixels is an error") {
  std::string rows;
  for (int h = 0; h < 16; ++h) {
    rows += '\0';
    for (int i = 0; i < 48; ++i) rows += static_cast<char>(h * h * 31 + i * i * i);
  }
  const std::string file = png(16, 16, 8, 2, rows);
  REQUIRE(read(file).size() == 768);
  const size_t end_of_pixels = file.size() - 12 - 4;  // the IEND chunk, the checksum of IDAT
  int accepted = 0;
  for (size_t size = 0; size < end_of_pixels - 4; ++size) {  // zlib's checksum comes last in IDAT
    try {
      parse_png(bytes_of(file.substr(0, size)), "a.png");
      ++accepted;
    } catch (const DataError& error) {
      if (size % 50 == 0)
        CHECK_THAT(error.what(), Contains("read_png: a.png") && Contains(std::to_string(size)));
    }
  }
  CHECK(accepted == 0);
}

TEST_CASE("image_file: a damaged byte anywhere never crashes") {
  const std::string palette = chunk("PLTE", text({10, 20, 30, 40, 50, 60}));
  for (const std::string& file :
       {png(3, 2, 8, 3, text({0, 1, 0, 1, 0, 0, 0, 1}), palette), png(2, 2, 16, 6, std::string(34, '\0')),
        png(2, 1, 8, 4, text({0, 50, 255, 50, 0}))}) {
    int errors = 0;
    for (size_t at = 0; at < file.size(); ++at) {
      for (const int change : {1, 0x80, 0xff}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        try {
          const Tensor image = parse_png(bytes_of(damaged), "a.png");
          CHECK(image.shape(2) == 3);
        } catch (const DataError&) {
          ++errors;
        }
      }
    }
    CHECK(errors > 40);
  }
}

TEST_CASE("image_file: as many pixels as a photo of today") {
  const std::string row(1 + 8688 / 8, '\0');
  std::string rows;
  for (int h = 0; h < 5792; ++h) rows += row;  // 50 megapixels, black
  const Tensor image = parse_png(bytes_of(png(8688, 5792, 1, 0, rows)), "a.png");
  CHECK(image.shape() == Shape{5792, 8688, 3});
}

TEST_CASE("image_file: other files, empty files and huge images are errors") {
  TemporaryFolder folder;
  CHECK_THAT(message_of<DataError>([&] { read_image(folder / "none.png"); }),
             Contains("none.png: no such file"));
  CHECK_THROWS_AS(read(""), DataError);
  CHECK_THAT(message_of<DataError>([] { read("JFIF, or some other kind of file"); }),
             Contains("not a PNG image"));
  CHECK_THAT(message_of<DataError>([] { read(png(65536, 1, 8, 0, std::string(65537, '\0'))); }),
             Contains("65536x1 pixels, expected at most 65535 a side and 268435456 in all"));
  CHECK_THAT(message_of<DataError>([] { read(png(16385, 16384, 8, 0, "")); }),
             Contains("16385x16384 pixels, expected at most 65535 a side and 268435456 in all"));
  CHECK_THROWS_AS(read(png(2147483647, 2147483647, 16, 6, "")), DataError);
  CHECK_THROWS_AS(read(png(0, 1, 8, 0, text({0}))), DataError);
}
