#include "fovea/data/augment.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

const ImageNormalisation kNormalisation{{0.5f, 0.4f, 0.3f}, {0.25f, 0.2f, 0.5f}};

/// Images of H x W in which no two pixels of a row or column are the same.
ImageSet numbered(int64_t N, int64_t H, int64_t W) {
  ImageSet set{
      "numbered", Tensor::empty({N, H, W, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32), {"a", "b", "c"}};
  for (int64_t i = 0; i < set.images.size(); ++i) {
    set.images.data<uint8_t>()[i] = static_cast<uint8_t>(1 + i % 251);
  }
  for (int64_t n = 0; n < N; ++n) set.labels.data<int32_t>()[n] = static_cast<int32_t>(n % 3);
  return set;
}

float normalised(const ImageSet& set, int64_t n, int64_t h, int64_t w, int64_t c) {
  const int64_t H = set.images.shape(1), W = set.images.shape(2);
  if (h < 0 || h >= H || w < 0 || w >= W) return 0.0f;
  const auto channel = static_cast<size_t>(c);
  const float value = static_cast<float>(set.images.data<uint8_t>()[((n * H + h) * W + w) * 3 + c]) / 255.0f;
  return (value - kNormalisation.mean[channel]) / kNormalisation.deviation[channel];
}

/// Whether image b of the batch is image n, cropped at (top, left) and flipped or not.
bool is_variation(const Batch& batch, int64_t b, const ImageSet& set, int64_t n, int64_t top, int64_t left,
                  bool flip) {
  const int64_t H = set.images.shape(1), W = set.images.shape(2);
  const float* values = batch.images.data<float>() + b * H * W * 3;
  for (int64_t h = 0; h < H; ++h) {
    for (int64_t w = 0; w < W; ++w) {
      const int64_t from_w = (flip ? W - 1 - w : w) + left;
      for (int64_t c = 0; c < 3; ++c) {
        if (std::abs(*values++ - normalised(set, n, h + top, from_w, c)) > 1e-6f) return false;
      }
    }
  }
  return true;
}

Batch batch_of(const ImageSet& set, const std::vector<int64_t>& indices,
               const std::optional<Augmentation>& augmentation, uint64_t seed = 1, uint32_t epoch = 0) {
  return make_batch(set, indices, kNormalisation, augmentation, seed, epoch);
}

bool same(const Batch& a, const Batch& b) {
  return std::memcmp(a.images.raw(), b.images.raw(), a.images.bytes()) == 0 &&
         std::memcmp(a.labels.raw(), b.labels.raw(), a.labels.bytes()) == 0;
}

}  // namespace

TEST_CASE("normalisation_of: mean and population deviation of each channel") {
  ImageSet set{"tiny",
               Tensor::from<uint8_t>({0, 10, 255, 4, 10, 0, 8, 10, 0, 0, 10, 0}, {1, 2, 2, 3}),
               Tensor::zeros({1}, Dtype::i32),
               {"a"}};
  const ImageNormalisation result = normalisation_of(set);
  CHECK(result.mean[0] == Approx(3.0 / 255));
  CHECK(result.deviation[0] == Approx(std::sqrt(11.0) / 255));  // (9 + 1 + 25 + 9) / 4
  CHECK(result.mean[1] == Approx(10.0 / 255));
  CHECK(result.deviation[1] == 1.0f);  // the same everywhere
  CHECK(result.mean[2] == Approx(0.25));
  CHECK(result.deviation[2] == Approx(std::sqrt(3.0) / 4));
}

TEST_CASE("normalisation_of: the sums of many pixels are exact") {
  // 4 million pixels that are 255 but for one, which makes a deviation of 255 sqrt(N - 1) / N.
  const int64_t N = 4000;
  ImageSet set{"bright", Tensor::full({N, 32, 32, 3}, 255, Dtype::u8), Tensor::zeros({N}, Dtype::i32), {"a"}};
  set.images.data<uint8_t>()[0] = 0;
  const double pixels = static_cast<double>(N) * 1024;
  const ImageNormalisation result = normalisation_of(set);
  CHECK(result.mean[0] == Approx(1.0 - 1.0 / pixels).epsilon(1e-7));
  CHECK(result.deviation[0] == Approx(std::sqrt(pixels - 1) / pixels).epsilon(1e-4));
  CHECK(result.mean[1] == 1.0f);
  CHECK(result.deviation[1] == 1.0f);
}

TEST_CASE("ImageSet::first: takes what there is") {
  const ImageSet set = numbered(5, 2, 2);
  CHECK(set.first(3).size() == 3);
  CHECK(set.first(3).images.shape() == Shape{3, 2, 2, 3});
  CHECK(set.first(99).size() == 5);
  CHECK_THROWS_AS(set.first(0), UsageError);
}

TEST_CASE("make_batch: without augmentation, the normalised images and their labels") {
  const ImageSet set = numbered(5, 3, 7);
  const Batch batch = batch_of(set, {4, 0, 4}, std::nullopt);
  REQUIRE(batch.images.shape() == Shape{3, 3, 7, 3});
  CHECK(is_variation(batch, 0, set, 4, 0, 0, false));
  CHECK(is_variation(batch, 1, set, 0, 0, 0, false));
  CHECK(is_variation(batch, 2, set, 4, 0, 0, false));
  CHECK(batch.labels.data<int32_t>()[0] == 1);
  CHECK(batch.labels.data<int32_t>()[1] == 0);
}

TEST_CASE("make_batch: each image is one crop of the padded image, and all crops and flips come up") {
  const ImageSet set = numbered(400, 6, 5);
  std::vector<int64_t> indices(400);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const Augmentation augmentation{.padding = 2, .flip = GENERATE(true, false)};
  const Batch batch = batch_of(set, indices, augmentation);
  std::set<std::tuple<int64_t, int64_t, bool>> found;
  for (int64_t n = 0; n < 400; ++n) {
    int64_t matches = 0;
    for (int64_t top = -2; top <= 2; ++top) {
      for (int64_t left = -2; left <= 2; ++left) {
        for (const bool flip : {false, true}) {
          if (!is_variation(batch, n, set, n, top, left, flip)) continue;
          ++matches;
          found.insert({top, left, flip});
        }
      }
    }
    REQUIRE(matches == 1);
  }
  CHECK(found.size() == (augmentation.flip ? 50 : 25));
}

TEST_CASE("make_batch: an alternating flip turns half of the images first, and then all by turns") {
  const ImageSet set = numbered(400, 6, 5);
  std::vector<int64_t> indices(400);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const Augmentation augmentation{.padding = 0, .alternating_flip = true};
  std::vector<bool> before(400);
  for (uint32_t epoch = 0; epoch < 4; ++epoch) {
    const Batch batch = batch_of(set, indices, augmentation, /*seed=*/1, epoch);
    int64_t turned = 0;
    for (int64_t n = 0; n < 400; ++n) {
      const bool is_turned = is_variation(batch, n, set, n, 0, 0, true);
      REQUIRE((is_turned || is_variation(batch, n, set, n, 0, 0, false)));
      if (epoch > 0) REQUIRE(is_turned != before[static_cast<size_t>(n)]);
      before[static_cast<size_t>(n)] = is_turned;
      turned += is_turned ? 1 : 0;
    }
    CHECK(turned > 160);
    CHECK(turned < 240);
  }
  const auto straight = [&](bool alternating) {
    return batch_of(set, indices, Augmentation{.flip = false, .alternating_flip = alternating});
  };
  CHECK(same(straight(true), straight(false)));
}

TEST_CASE("make_batch: cutout is a square around any pixel, the rest is as without it") {
  constexpr int64_t kImages = 400, H = 6, W = 5;
  const ImageSet set = numbered(kImages, H, W);
  std::vector<int64_t> indices(kImages);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const Batch whole = batch_of(set, indices, Augmentation{.padding = 0});
  for (const int64_t side : {1, 2, 3, 9}) {
    INFO("side " << side);
    const Batch cut = batch_of(set, indices, Augmentation{.padding = 0, .cutout = side});
    std::set<std::pair<int64_t, int64_t>> centres;
    for (int64_t n = 0; n < kImages; ++n) {
      const auto value = [&](const Batch& batch, int64_t h, int64_t w, int64_t c) {
        return batch.images.data<float>()[((n * H + h) * W + w) * 3 + c];
      };
      const auto is_cut_at = [&](int64_t centre_h, int64_t centre_w) {
        const int64_t top = centre_h - side / 2, left = centre_w - side / 2;
        for (int64_t h = 0; h < H; ++h) {
          for (int64_t w = 0; w < W; ++w) {
            const bool is_cut = h >= top && h < top + side && w >= left && w < left + side;
            for (int64_t c = 0; c < 3; ++c) {
              if (value(cut, h, w, c) != (is_cut ? 0.0f : value(whole, h, w, c))) return false;
            }
          }
        }
        return true;
      };
      int64_t matches = 0;
      for (int64_t h = 0; h < H; ++h) {
        for (int64_t w = 0; w < W; ++w) {
          if (!is_cut_at(h, w)) continue;
          ++matches;
          centres.insert({h, w});
        }
      }
      REQUIRE(matches >= 1);
      if (side < 4) REQUIRE(matches == 1);
    }
    CHECK(centres.size() == H * W);
  }
}

TEST_CASE("make_batch: flipping does not change the crops") {
  const ImageSet set = numbered(64, 6, 5);
  std::vector<int64_t> indices(64);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const Batch flipped = batch_of(set, indices, Augmentation{.padding = 1, .flip = true});
  const Batch straight = batch_of(set, indices, Augmentation{.padding = 1, .flip = false});
  int64_t turned = 0;
  for (int64_t n = 0; n < 64; ++n) {
    for (int64_t top = -1; top <= 1; ++top) {
      for (int64_t left = -1; left <= 1; ++left) {
        if (!is_variation(straight, n, set, n, top, left, false)) continue;
        const bool is_turned = is_variation(flipped, n, set, n, top, left, true);
        CHECK((is_turned || is_variation(flipped, n, set, n, top, left, false)));
        turned += is_turned;
      }
    }
  }
  CHECK(turned > 16);
  CHECK(turned < 48);
}

TEST_CASE("make_batch: an image's variation depends on seed, epoch and its number alone") {
  const ImageSet set = numbered(64, 8, 8);
  std::vector<int64_t> indices(64);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const Augmentation augmentation{.padding = 4, .flip = true};
  const Batch all = batch_of(set, indices, augmentation);
  const Batch alone = batch_of(set, {37}, augmentation);
  CHECK(std::memcmp(alone.images.raw(), all.images.data<float>() + 37 * 8 * 8 * 3, alone.images.bytes()) ==
        0);
  CHECK(same(all, batch_of(set, indices, augmentation)));
  CHECK_FALSE(same(all, batch_of(set, indices, augmentation, /*seed=*/2)));
  CHECK_FALSE(same(all, batch_of(set, indices, augmentation, /*seed=*/1, /*epoch=*/1)));
  const int before = num_threads();
  for (const int threads : {1, 3, 8}) {
    set_num_threads(threads);
    CHECK(same(all, batch_of(set, indices, augmentation)));
  }
  set_num_threads(before);
}

TEST_CASE("make_batch: an index outside the set, other types and too much padding are errors") {
  const ImageSet set = numbered(5, 4, 4);
  CHECK_THAT(message_of<Error>([&] {
               batch_of(set, {0, 5}, std::nullopt);
             }),
             Contains("index 5 in a set of 5"));
  CHECK_THROWS_AS(batch_of(set, {-1}, std::nullopt), Error);
  CHECK_THROWS_AS(batch_of(set, {0}, Augmentation{.padding = 5}), UsageError);
  CHECK_THROWS_AS(batch_of(set, {0}, Augmentation{.padding = -1}), UsageError);
  CHECK_NOTHROW(batch_of(set, {0}, Augmentation{.padding = 4}));
  CHECK_THROWS_AS(batch_of(set, {0}, Augmentation{.cutout = -1}), UsageError);
  CHECK_THROWS_AS(batch_of(set, {0}, Augmentation{.cutout = 8}), UsageError);
  CHECK_NOTHROW(batch_of(set, {0}, Augmentation{.cutout = 7}));
  ImageSet wrong = set;
  wrong.images = Tensor::zeros({5, 4, 4, 3});
  CHECK_THAT(message_of<Error>([&] { batch_of(wrong, {0}, std::nullopt); }), Contains("f32[5, 4, 4, 3]"));
  wrong = set;
  wrong.labels = Tensor::zeros({4}, Dtype::i32);
  CHECK_THROWS_AS(batch_of(wrong, {0}, std::nullopt), Error);
  CHECK_THROWS_AS(batch_of(ImageSet{}, {}, std::nullopt), Error);
}
