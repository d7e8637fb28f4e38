#include "fovea/data/idx.h"

#include <catch2/catch.hpp>

#include "gzipped.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

std::string big_endian(int64_t number) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(number >> shift);
  return text;
}

std::string idx_text(const Shape& shape, const std::string& values) {
  std::string text = big_endian(0x800 + shape.rank());
  for (const int64_t extent : shape.extents()) text += big_endian(extent);
  return text + values;
}

/// The 28x28 images of a split: byte i of image n is n + i.
std::string grey_values(int64_t count) {
  std::string values(static_cast<size_t>(count * 784), '\0');
  for (int64_t n = 0; n < count; ++n) {
    for (int64_t i = 0; i < 784; ++i) values[static_cast<size_t>(n * 784 + i)] = static_cast<char>(n + i);
  }
  return values;
}

std::string labels(int64_t count) {
  std::string values;
  for (int64_t n = 0; n < count; ++n) values += static_cast<char>(n % 10);
  return values;
}

}  // namespace

TEST_CASE("idx: reads bytes of any rank") {
  const Tensor values = parse_idx(bytes_of(idx_text({2, 3}, "abcdef")), {2, 3}, "a");
  CHECK(values.shape() == Shape{2, 3});
  CHECK(values.data<uint8_t>()[4] == 'e');
}

TEST_CASE("idx: cut short at any place, or longer, is an error") {
  const std::string text = idx_text({2, 3}, "abcdef");
  for (size_t size = 0; size < text.size(); ++size) {
    CHECK_THAT(message_of<DataError>([&] {
                 parse_idx(bytes_of(text.substr(0, size)), {2, 3}, "a.idx");
               }),
               Contains("a.idx: at byte offset " + std::to_string(size)));
  }
  CHECK_THAT(message_of<DataError>([&] {
               parse_idx(bytes_of(text + "g"), {2, 3}, "a.idx");
             }),
             Contains("at byte offset 18") && Contains("expected 18 bytes in all, found 19"));
}

TEST_CASE("idx: another type, rank or extent is an error that says where") {
  const auto message = [](const std::string& text) {
    return message_of<DataError>([&] { parse_idx(bytes_of(text), {2, 3}, "a"); });
  };
  std::string text = idx_text({2, 3}, "abcdef");
  text[2] = 0x0d;
  CHECK_THAT(message(text), Contains("at byte offset 0"));
  CHECK_THAT(message(idx_text({6}, "abcdefabcdef")), Contains("at byte offset 0"));
  CHECK_THAT(message(idx_text({2, 4}, "abcdef")),
             Contains("at byte offset 8") && Contains("extent of 3, found 4"));
  text = idx_text({2, 3}, "abcdef");
  text[4] = static_cast<char>(0xff);  // an extent of about 2^32
  CHECK_THAT(message(text), Contains("at byte offset 4") && Contains("extent of 2"));
}

TEST_CASE("idx: gunzip gives back what was packed") {
  for (const size_t size : {size_t{1}, size_t{1000}, size_t{200000}}) {
    std::string text(size, 'a');
    for (size_t i = 0; i < size; i += 7) text[i] = static_cast<char>(i * i);
    const std::vector<std::byte> out = gunzip(bytes_of(gzipped(text)), size, "a.gz");
    CHECK(std::string(reinterpret_cast<const char*>(out.data()), out.size()) == text);
  }
}

TEST_CASE("idx: gunzip refuses damage at any place, other sizes and bytes after the end") {
  const std::string text = "what is packed here, what is packed here, what is packed here";
  const std::string packed = gzipped(text);
  for (size_t size = 0; size < packed.size(); ++size) {
    CHECK_THROWS_AS(gunzip(bytes_of(packed.substr(0, size)), text.size(), "a.gz"), DataError);
  }
  std::string damaged = packed;
  damaged[packed.size() - 6] = static_cast<char>(~damaged[packed.size() - 6]);  // in the checksum
  CHECK_THAT(message_of<DataError>([&] { gunzip(bytes_of(damaged), text.size(), "a.gz"); }),
             Contains("a.gz") && Contains("damaged"));
  CHECK_THAT(message_of<DataError>([&] { gunzip(bytes_of(packed), text.size() - 1, "a.gz"); }),
             Contains("expected 60 bytes when inflated, found more"));
  CHECK_THAT(message_of<DataError>([&] { gunzip(bytes_of(packed), text.size() + 1, "a.gz"); }),
             Contains("expected 62 bytes") && Contains("found 61"));
  CHECK_THAT(message_of<DataError>([&] { gunzip(bytes_of(packed + "xy"), text.size(), "a.gz"); }),
             Contains("found 2 more bytes"));
  CHECK_THROWS_AS(gunzip(bytes_of(text), text.size(), "a.gz"), DataError);
}

TEST_CASE("idx: gunzip stops at the first byte too many of a large file") {
  const std::string bomb = gzipped(std::string(size_t{64} << 20, '\0'));
  REQUIRE(bomb.size() < 100000);
  CHECK_THAT(message_of<DataError>([&] { gunzip(bytes_of(bomb), 1000, "a.gz"); }), Contains("found more"));
}

TEST_CASE("fashion-mnist: images stand in the middle, grey in three channels, gzipped or not") {
  const std::string images = idx_text({10000, 28, 28}, grey_values(10000));
  const std::string numbers = idx_text({10000}, labels(10000));
  TemporaryFolder folder;
  const bool is_packed = GENERATE(true, false);
  if (is_packed) {
    write_file(folder / "t10k-images-idx3-ubyte.gz", gzipped(images));
    write_file(folder / "t10k-labels-idx1-ubyte.gz", gzipped(numbers));
  } else {
    write_file(folder / "t10k-images-idx3-ubyte", images);
    write_file(folder / "t10k-labels-idx1-ubyte", numbers);
  }
  const ImageSet set = load_fashion_mnist(folder.path().string(), Split::test);
  REQUIRE(set.images.shape() == Shape{10000, 32, 32, 3});
  CHECK(set.classes() == 10);
  CHECK(set.labels.data<int32_t>()[9999] == 9);
  int64_t wrong = 0;
  for (const int64_t n : {0, 1, 9999}) {
    for (int64_t h = 0; h < 32; ++h) {
      for (int64_t w = 0; w < 32; ++w) {
        const bool is_inside = h >= 2 && h < 30 && w >= 2 && w < 30;
        const int64_t wanted = is_inside ? (n + (h - 2) * 28 + w - 2) % 256 : 0;
        for (int64_t c = 0; c < 3; ++c) {
          wrong += set.images.data<uint8_t>()[((n * 32 + h) * 32 + w) * 3 + c] != wanted;
        }
      }
    }
  }
  CHECK(wrong == 0);

  std::string bad = numbers;
  bad[8 + 77] = 10;
  write_file(folder / (is_packed ? "t10k-labels-idx1-ubyte.gz" : "t10k-labels-idx1-ubyte"),
             is_packed ? gzipped(bad) : bad);
  CHECK_THAT(message_of<DataError>([&] { load_fashion_mnist(folder.path().string(), Split::test); }),
             Contains("at byte offset 85") && Contains("found 10"));
}

TEST_CASE("fashion-mnist: a missing file is an error that says what to install") {
  TemporaryFolder folder;
  CHECK_THAT(message_of<DataError>([&] { load_fashion_mnist(folder.path().string(), Split::train); }),
             Contains("train-images-idx3-ubyte.gz: no such file") && Contains("dataset-fashion-mnist"));
}
