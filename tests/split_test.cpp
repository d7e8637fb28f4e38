#include "fovea/data/split.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "fovea/core/check.h"

using namespace fovea;

namespace {

/// Image n has the bytes of n, and a label of which there are more the smaller it is.
ImageSet numbered(int64_t N) {
  ImageSet set{"numbered", Tensor::empty({N, 2, 2, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32), {}};
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) set.class_names.push_back(name);
  for (int64_t n = 0; n < N; ++n) {
    for (int64_t i = 0; i < 12; ++i) {
      set.images.data<uint8_t>()[n * 12 + i] = static_cast<uint8_t>(i < 6 ? n / 256 : n % 256);
    }
    set.labels.data<int32_t>()[n] = static_cast<int32_t>(n % 55 < 10 ? 0 : n % 10);
  }
  return set;
}

/// The numbers of the images of a set, whose labels it checks.
std::vector<int64_t> numbers_of(const ImageSet& set, const ImageSet& whole) {
  std::vector<int64_t> numbers;
  for (int64_t n = 0; n < set.size(); ++n) {
    const uint8_t* bytes = set.images.data<uint8_t>() + n * 12;
    numbers.push_back(bytes[0] * 256 + bytes[11]);
    CHECK(set.labels.data<int32_t>()[n] == whole.labels.data<int32_t>()[numbers.back()]);
  }
  return numbers;
}

std::map<int32_t, int64_t> counts_of(const ImageSet& set) {
  std::map<int32_t, int64_t> counts;
  for (const int32_t label : set.labels.span<int32_t>()) ++counts[label];
  return counts;
}

}  // namespace

TEST_CASE("hold_out: both sides together are the set, in order, and each class is held out by its share") {
  const ImageSet whole = numbered(1000);
  for (const int64_t count : {1, 7, 100, 999}) {
    INFO(count);
    ImageSet rest = numbered(1000);
    const ImageSet held = hold_out(rest, count, /*seed=*/1);
    REQUIRE(held.size() == count);
    REQUIRE(rest.size() == 1000 - count);
    const std::vector<int64_t> a = numbers_of(held, whole), b = numbers_of(rest, whole);
    CHECK(std::is_sorted(a.begin(), a.end()));
    CHECK(std::is_sorted(b.begin(), b.end()));
    std::set<int64_t> all(a.begin(), a.end());
    all.insert(b.begin(), b.end());
    CHECK(all.size() == 1000);
    std::map<int32_t, int64_t> of_held = counts_of(held);
    for (const auto& [label, images] : counts_of(whole)) {
      const double wanted = static_cast<double>(images * count) / 1000;
      CHECK(std::abs(static_cast<double>(of_held[label]) - wanted) < 1);
    }
  }
}

TEST_CASE("hold_out: the seed decides, and no image is held out more often than another") {
  const auto drawn = [](uint64_t seed) {
    ImageSet rest = numbered(200);
    return numbers_of(hold_out(rest, 50, seed), numbered(200));
  };
  CHECK(drawn(3) == drawn(3));
  CHECK(drawn(3) != drawn(4));
  std::map<int64_t, int64_t> times;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    for (const int64_t n : drawn(seed)) ++times[n];
  }
  CHECK(times.size() == 200);
  for (const auto& [n, count] : times) CHECK(std::abs(count - 50) < 32);  // five deviations
}

TEST_CASE("hold_out: something must stay on either side") {
  ImageSet set = numbered(10);
  for (const int64_t count : {-1, 0, 10, 11}) CHECK_THROWS_AS(hold_out(set, count, 1), UsageError);
  CHECK(set.size() == 10);
  for (const int32_t label : {-1, 10}) {
    set.labels.data<int32_t>()[3] = label;
    CHECK_THROWS_WITH(hold_out(set, 2, 1), Catch::Contains("image 3 of numbered has the label"));
  }
}

TEST_CASE("add_label_noise: the share asked for is wrong, each other class as often") {
  const ImageSet clean = numbered(20000);
  for (const double share : {0.0, 0.1, 0.7, 1.0}) {
    INFO(share);
    ImageSet noisy = clean;
    add_label_noise(noisy, share, /*seed=*/1);
    CHECK(counts_of(clean) == counts_of(numbered(20000)));  // in new memory
    std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
    int64_t wrong = 0;
    for (int64_t n = 0; n < clean.size(); ++n) {
      const int32_t from = clean.labels.data<int32_t>()[n], to = noisy.labels.data<int32_t>()[n];
      if (from == to) continue;
      REQUIRE((to >= 0 && to < 10));
      ++wrong;
      ++pairs[{from, to}];
    }
    CHECK(static_cast<double>(wrong) / 20000 == Approx(share).margin(0.015));
    if (share == 0) continue;
    std::map<int32_t, int64_t> counts = counts_of(clean);
    CHECK(pairs.size() == 90);
    for (const auto& [pair, count] : pairs) {
      const double wanted = share * static_cast<double>(counts[pair.first]) / 9;
      CHECK(std::abs(static_cast<double>(count) - wanted) < 5 * std::sqrt(wanted) + 1);
    }
  }
  ImageSet set = clean;
  CHECK_THROWS_AS(add_label_noise(set, 1.5, 1), UsageError);
  set.class_names = {"one"};
  CHECK_THROWS_AS(add_label_noise(set, 0.5, 1), UsageError);
}

TEST_CASE("hold_out: names of files go with their images") {
  ImageSet set = numbered(200);
  for (int64_t n = 0; n < 200; ++n) set.files.push_back(std::to_string(n) + ".png");
  const ImageSet whole = numbered(200), held = hold_out(set, 30, /*seed=*/3);
  CHECK(std::ssize(held.files) == 30);
  for (const ImageSet* part : std::initializer_list<const ImageSet*>{&set, &held}) {
    const std::vector<int64_t> numbers = numbers_of(*part, whole);
    for (size_t i = 0; i < numbers.size(); ++i)
      CHECK(part->files.at(i) == std::to_string(numbers[i]) + ".png");
  }
  CHECK(set.first(7).files.size() == 7);
  CHECK(set.first(7).files[6] == set.files[6]);
}

TEST_CASE("held_out_images: those that hold_out takes, by their labels alone") {
  ImageSet set = numbered(200);
  const ImageSet whole = numbered(200);
  const std::vector<int64_t> chosen =
      held_out_images(whole.labels.span<int32_t>(), whole.classes(), 30, /*seed=*/3, "numbered");
  CHECK(chosen == numbers_of(hold_out(set, 30, /*seed=*/3), whole));
  CHECK_THROWS_AS(held_out_images(whole.labels.span<int32_t>(), 10, 200, 3, "numbered"), UsageError);
}
