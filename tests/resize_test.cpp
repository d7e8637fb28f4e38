// Images at another size, and the stored ones of tests/golden/make_images.py, which Pillow resized.
#include "fovea/data/resize.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "golden_images.h"

namespace fovea {
namespace {

// Waves that become shorter to the right and downwards: also in make_images.py.
Tensor pattern(int64_t H, int64_t W) {
  Tensor image = Tensor::empty({H, W, 3}, Dtype::u8);
  auto* pixel = image.data<uint8_t>();
  for (int64_t y = 0; y < H; ++y) {
    for (int64_t x = 0; x < W; ++x) {
      for (int64_t c = 0; c < 3; ++c)
        *pixel++ = static_cast<uint8_t>((x * x * 7 + y * y * 13 + x * y * (3 + c) + 31 * c) >> 3);
    }
  }
  return image;
}

std::vector<uint8_t> values(const Tensor& image) {
  const auto bytes = image.span<uint8_t>();
  return {bytes.begin(), bytes.end()};
}

// The numbers in a name such as "resized.37x53.8x11".
std::vector<int64_t> numbers_in(std::string name) {
  for (char& c : name) c = std::isdigit(static_cast<unsigned char>(c)) ? c : ' ';
  std::istringstream words(name);
  std::vector<int64_t> numbers;
  for (int64_t number = 0; words >> number;) numbers.push_back(number);
  return numbers;
}

TEST_CASE("resize: as Pillow") {
  const auto stored = golden_images("resized.");
  CHECK(stored.size() >= 9);
  for (const auto& [name, wanted] : stored) {
    INFO(name);
    const auto sizes = numbers_in(name);
    check_alike(resized(pattern(sizes[0], sizes[1]), sizes[2], sizes[3]), wanted, /*most=*/1, /*share=*/0.99);
  }
}

TEST_CASE("resize: the centre as torchvision's Resize and CenterCrop") {
  const auto stored = golden_images("cropped.");
  CHECK(stored.size() >= 7);
  for (const auto& [name, wanted] : stored) {
    INFO(name);
    const auto sizes = numbers_in(name);
    const Tensor image = pattern(sizes[0], sizes[1]);
    const Tensor found = resized_and_cropped(image, sizes[2]);
    check_alike(found, wanted, /*most=*/1, /*share=*/0.99);
    const NoGrain shared;  // by threads, the same bytes
    CHECK(values(resized_and_cropped(image, sizes[2])) == values(found));
  }
}

TEST_CASE("resize: the same size is the same image, and one colour stays one") {
  const Tensor image = pattern(13, 17);
  CHECK(values(resized(image, 13, 17)) == values(image));
  CHECK(values(resized_and_cropped(pattern(32, 32), 32)) == values(pattern(32, 32)));
  for (const int colour : {0, 1, 128, 254, 255}) {
    Tensor plain = Tensor::empty({57, 43, 3}, Dtype::u8);
    std::fill_n(plain.data<uint8_t>(), plain.size(), static_cast<uint8_t>(colour));
    const Tensor larger = resized(plain, 7, 91);
    for (const uint8_t value : larger.span<uint8_t>()) REQUIRE(value == colour);
  }
}

TEST_CASE("resize: by hand") {
  Tensor image = Tensor::empty({1, 4, 3}, Dtype::u8);
  const uint8_t columns[] = {0, 100, 200, 240};
  for (size_t i = 0; i < 12; ++i) image.data<uint8_t>()[i] = columns[i / 3];
  // Two columns of one: the triangle reaches 2 to each side of its middle, at 1 and at 3. Its weights at
  // 0.5, 1.5 and 2.5 are 0.75, 0.75 and 0.25: (75 * 0 + 75 * 100 + 25 * 200) / 175 = 71.4.
  CHECK(values(resized(image, 1, 2)) == std::vector<uint8_t>{71, 71, 71, 203, 203, 203});
}

TEST_CASE("resize: a strip of the longest kind takes memory for what is kept alone") {
  CHECK(resized_and_cropped(pattern(1, 65535), 64).shape() == Shape{64, 64, 3});
  CHECK(resized_and_cropped(pattern(65535, 1), 64).shape() == Shape{64, 64, 3});
}

TEST_CASE("resize: a set of images, each as it would be alone") {
  ImageSet set{"a", Tensor::empty({3, 40, 50, 3}, Dtype::u8), Tensor::zeros({3}, Dtype::i32), {"x"}};
  for (int64_t n = 0; n < 3; ++n) {
    const Tensor image = pattern(40, 50);
    set.images.slice(n * image.size(), image.shape()).copy_from(image);
    set.images.data<uint8_t>()[n * image.size() + 2000] = static_cast<uint8_t>(80 * n);
  }
  const ImageSet small = resized_and_cropped(set, 16);
  CHECK(small.images.shape() == Shape{3, 16, 16, 3});
  for (int64_t n = 0; n < 3; ++n) {
    const Tensor alone = resized_and_cropped(set.images.slice(n * 40 * 50 * 3, {40, 50, 3}), 16);
    CHECK(values(small.images.slice(n * alone.size(), alone.shape())) == values(alone));
  }
  CHECK(resized_and_cropped(small, 16).images.raw() == small.images.raw());  // nothing is copied
}

TEST_CASE("resize: what is no image, and no size, is an error") {
  CHECK_THROWS_AS(resized(Tensor::zeros({4, 4, 3}), 2, 2), Error);
  CHECK_THROWS_AS(resized(Tensor::empty({4, 4, 4}, Dtype::u8), 2, 2), Error);
  CHECK_THROWS_AS(resized(Tensor::empty({0, 4, 3}, Dtype::u8), 2, 2), Error);
  CHECK_THROWS_AS(resized(pattern(4, 4), 0, 2), Error);
  CHECK_THROWS_AS(resized(pattern(4, 4), 2, -1), Error);
  CHECK_THROWS_AS(resized_and_cropped(pattern(4, 4), 0), Error);
  CHECK_THROWS_AS(resized_and_cropped(Tensor::empty({4}, Dtype::u8), 2), Error);
}

}  // namespace
}  // namespace fovea
