#include "fovea/data/synthetic.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "test_files.h"

using namespace fovea;

namespace {

constexpr int64_t kImageBytes = 32 * 32 * 3;

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

/// Share of `test` whose nearest image of `train`, by squared distance, has the same label.
double nearest_neighbour_accuracy(const ImageSet& train, const ImageSet& test) {
  int64_t right = 0;
  for (int64_t n = 0; n < test.size(); ++n) {
    const uint8_t* image = test.images.data<uint8_t>() + n * kImageBytes;
    int64_t best = 0, least = INT64_MAX;
    for (int64_t m = 0; m < train.size(); ++m) {
      const uint8_t* other = train.images.data<uint8_t>() + m * kImageBytes;
      int32_t distance = 0;
      for (int64_t i = 0; i < kImageBytes; ++i) {
        const int32_t difference = image[i] - other[i];
        distance += difference * difference;
      }
      if (distance < least) {
        least = distance;
        best = m;
      }
    }
    right += test.labels.data<int32_t>()[n] == train.labels.data<int32_t>()[best];
  }
  return static_cast<double>(right) / static_cast<double>(test.size());
}

}  // namespace

TEST_CASE("synthetic: an image depends on seed, split and number alone") {
  const ImageSet all = synthetic_images(Split::train, 50, /*seed=*/7);
  const ImageSet part = synthetic_images(Split::train, 10, /*seed=*/7, /*first=*/33);
  CHECK(same(part.images, all.images.slice(33 * kImageBytes, {10, 32, 32, 3})));
  CHECK(same(part.labels, all.labels.slice(33, {10})));
  CHECK(same(synthetic_images(Split::train, 50, 7).images, all.images));
  CHECK_FALSE(same(synthetic_images(Split::test, 50, 7).images, all.images));
  CHECK_FALSE(same(synthetic_images(Split::train, 50, 8).images, all.images));
}

TEST_CASE("synthetic: the same bits with any number of threads") {
  const int before = num_threads();
  set_num_threads(1);
  const ImageSet one = synthetic_images(Split::train, 100, 3);
  set_num_threads(5);
  const ImageSet five = synthetic_images(Split::train, 100, 3);
  set_num_threads(before);
  CHECK(same(one.images, five.images));
}

TEST_CASE("synthetic: ten classes, equally many of each, and no image twice") {
  const ImageSet set = synthetic_images(Split::train, 200, 1);
  CHECK(set.classes() == 10);
  std::vector<int> counts(10);
  for (const int32_t label : set.labels.span<int32_t>()) ++counts.at(static_cast<size_t>(label));
  CHECK(counts == std::vector<int>(10, 20));
  std::vector<std::string> images;
  for (int64_t n = 0; n < set.size(); ++n) {
    images.emplace_back(reinterpret_cast<const char*>(set.images.data<uint8_t>() + n * kImageBytes),
                        kImageBytes);
  }
  std::sort(images.begin(), images.end());
  CHECK(std::adjacent_find(images.begin(), images.end()) == images.end());
}

TEST_CASE("synthetic: there is no last image, but the key has one") {
  const int64_t last = (int64_t{1} << 32) - 1;
  CHECK(synthetic_images(Split::train, 1, 1, last).size() == 1);
  CHECK_THROWS_AS(synthetic_images(Split::train, 2, 1, last), UsageError);
  CHECK_THROWS_AS(synthetic_images(Split::train, 1, 1, -1), UsageError);
  CHECK_THROWS_AS(synthetic_images(Split::train, 0, 1), UsageError);
}

TEST_CASE("synthetic: pixels alone do not give the class away, nor are they without it") {
  const ImageSet train = synthetic_images(Split::train, 2000, 1),
                 test = synthetic_images(Split::test, 300, 1);
  const double accuracy = nearest_neighbour_accuracy(train, test);
  INFO("nearest-neighbour accuracy " << accuracy);
  CHECK(accuracy < 0.5);
  CHECK(accuracy > 0.13);  // chance is 0.1, with a deviation of 0.017
}
