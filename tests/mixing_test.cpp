// Random erasing, mixup and cutmix: which images come of them, and how often.
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "fovea/data/augment.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;

namespace {

constexpr int64_t kImages = 9, H = 8, W = 6;

/// Images in which no byte is twice, and none is the mean.
ImageSet numbered(int64_t N, int64_t height = H, int64_t width = W) {
  ImageSet set{"numbered", Tensor::empty({N, height, width, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32),
               std::vector<std::string>(10, "class")};
  for (int64_t i = 0; i < set.images.size(); ++i) {
    set.images.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 % 251);
  }
  for (int64_t n = 0; n < N; ++n) set.labels.data<int32_t>()[n] = static_cast<int32_t>(n % 10);
  return set;
}

/// With neither crop nor flip.
Batch batch_of(const ImageSet& set, Augmentation augmentation, uint32_t epoch = 0, int64_t batch = 0) {
  augmentation.padding = 0;
  augmentation.flip = false;
  std::vector<int64_t> indices(static_cast<size_t>(set.size()));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return make_batch(set, indices, {{0.501f, 0.501f, 0.501f}, {1, 1, 1}}, augmentation, /*seed=*/1, epoch,
                    batch);
}

float number_at(const Batch& batch, int64_t n, int64_t h, int64_t w, int64_t c) {
  const Shape& shape = batch.images.shape();
  return batch.images.data<float>()[((n * shape[1] + h) * shape[2] + w) * 3 + c];
}

struct Moments {
  double mean, variance;
};

/// Of the own images' shares over 4,000 batches.
Moments moments_of_weights(const Augmentation& augmentation) {
  const Tensor mixing = draw_mixing(augmentation, /*seed=*/1, /*epoch=*/3, /*first=*/0, 4000, 32, 32);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 4000; ++i) {
    const double weight = mixing.data<float>()[i * kernels::kMixNumbers + 1];
    REQUIRE((weight >= 0 && weight <= 1));
    sum += weight;
    squares += weight * weight;
  }
  return {sum / 4000, squares / 4000 - sum / 4000 * sum / 4000};
}

}  // namespace

TEST_CASE("mixup: every image is the weighted sum of itself and its partner") {
  const ImageSet set = numbered(kImages);
  const Batch plain = batch_of(set, {}), mixed = batch_of(set, {.mixup = 1});
  const float weight = static_cast<float>(mixed.label_weight.item());
  CHECK(weight > 0.05);
  CHECK(weight < 0.95);
  for (int64_t n = 0; n < kImages; ++n) {
    const int64_t partner = kImages - 1 - n;
    CHECK(mixed.labels.data<int32_t>()[n] == n);
    CHECK(mixed.partners.data<int32_t>()[n] == partner);
    for (int64_t i = 0; i < H * W * 3; ++i) {
      const float own = plain.images.data<float>()[n * H * W * 3 + i];
      const float other = plain.images.data<float>()[partner * H * W * 3 + i];
      const float wanted = weight * own + (1 - weight) * other;
      REQUIRE(mixed.images.data<float>()[n * H * W * 3 + i] == Approx(wanted).margin(1e-6));
    }
  }
}

TEST_CASE("mixup: shares have the distribution Beta(alpha, alpha), others in each batch and epoch") {
  for (const double alpha : {0.2, 1.0, 4.0}) {
    INFO("alpha " << alpha);
    const Moments moments = moments_of_weights({.mixup = alpha});
    CHECK(moments.mean == Approx(0.5).margin(0.02));
    CHECK(moments.variance == Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.06));
  }
  const ImageSet set = numbered(kImages);
  const auto weight = [&](uint32_t epoch, int64_t batch) {
    return batch_of(set, {.mixup = 1}, epoch, batch).label_weight.item();
  };
  CHECK(weight(0, 0) == weight(0, 0));
  CHECK(weight(0, 0) != weight(0, 1));
  CHECK(weight(0, 0) != weight(1, 0));
}

TEST_CASE("cutmix: a rectangle is the partner's, and the labels have the shares of the pixels") {
  const ImageSet set = numbered(kImages);
  const Batch plain = batch_of(set, {});
  int64_t mixed_batches = 0;
  for (int64_t batch = 0; batch < 50; ++batch) {
    const Batch mixed = batch_of(set, {.cutmix = 1}, 0, batch);
    for (const int64_t n : {0, 3}) {
      int64_t own = 0, top = H, bottom = -1, left = W, right = -1;
      for (int64_t h = 0; h < H; ++h) {
        for (int64_t w = 0; w < W; ++w) {
          if (number_at(mixed, n, h, w, 1) == number_at(plain, n, h, w, 1)) {
            ++own;
            continue;
          }
          for (int64_t c = 0; c < 3; ++c) {
            REQUIRE(number_at(mixed, n, h, w, c) == number_at(plain, kImages - 1 - n, h, w, c));
          }
          top = std::min(top, h), bottom = std::max(bottom, h);
          left = std::min(left, w), right = std::max(right, w);
        }
      }
      const int64_t pixels = bottom < 0 ? 0 : (bottom - top + 1) * (right - left + 1);
      CHECK(own == H * W - pixels);
      CHECK(mixed.label_weight.item() == Approx(static_cast<double>(own) / (H * W)));
      mixed_batches += pixels > 0 ? 1 : 0;
    }
  }
  CHECK(mixed_batches > 50);
}

TEST_CASE("cutmix and mixup: half of the batches have each") {
  const Tensor mixing = draw_mixing(Augmentation{.mixup = 1, .cutmix = 1}, 1, 0, 0, 1000, 32, 32);
  int64_t blended = 0;
  for (int64_t i = 0; i < 1000; ++i) blended += mixing.data<float>()[i * kernels::kMixNumbers] < 1 ? 1 : 0;
  CHECK(blended > 440);
  CHECK(blended < 560);
  CHECK_FALSE(draw_mixing(Augmentation{}, 1, 0, 0, 10, 32, 32).defined());
  CHECK_FALSE(draw_mixing({}, 1, 0, 0, 10, 32, 32).defined());
}

TEST_CASE("random erasing: rectangles of 2 to 40 % of the area, in so many of the images") {
  constexpr int64_t kMany = 600, kSide = 32;
  const ImageSet set = numbered(kMany, kSide, kSide);
  const Batch plain = batch_of(set, {}), erased = batch_of(set, {.random_erasing = 0.25});
  int64_t count = 0;
  double smallest = 1, largest = 0, flattest = 1, tallest = 1;
  for (int64_t n = 0; n < kMany; ++n) {
    int64_t zeros = 0, top = kSide, bottom = -1, left = kSide, right = -1;
    for (int64_t h = 0; h < kSide; ++h) {
      for (int64_t w = 0; w < kSide; ++w) {
        if (number_at(erased, n, h, w, 0) == number_at(plain, n, h, w, 0)) continue;
        REQUIRE(number_at(erased, n, h, w, 0) == 0);
        ++zeros;
        top = std::min(top, h), bottom = std::max(bottom, h);
        left = std::min(left, w), right = std::max(right, w);
      }
    }
    if (zeros == 0) continue;
    ++count;
    const auto height = static_cast<double>(bottom - top + 1), width = static_cast<double>(right - left + 1);
    REQUIRE(zeros == (bottom - top + 1) * (right - left + 1));
    const double share = height * width / (kSide * kSide);
    smallest = std::min(smallest, share), largest = std::max(largest, share);
    flattest = std::min(flattest, height / width), tallest = std::max(tallest, height / width);
  }
  CHECK(count > 110);
  CHECK(count < 190);
  CHECK(smallest < 0.05);
  CHECK(largest > 0.35);
  CHECK(largest < 0.43);
  CHECK(flattest < 0.5);
  CHECK(tallest > 2);
  CHECK(tallest < 4.5);
}

TEST_CASE("random erasing: roots are rounded to the nearest") {
  for (const auto& [x, root] : std::vector<std::pair<uint64_t, int>>{{0, 0},
                                                                     {1, 1},
                                                                     {2, 1},
                                                                     {3, 2},
                                                                     {6, 2},
                                                                     {7, 3},
                                                                     {12, 3},
                                                                     {13, 4},
                                                                     {1024, 32},
                                                                     {1056, 32},
                                                                     {1057, 33}}) {
    CHECK(kernels::rounded_root(x) == root);
  }
}

TEST_CASE("mixed labels: the loss that PyTorch's cross_entropy gives for both labels, weighted") {
  // 0.3 * cross_entropy(x, [2, 0], label_smoothing=0.1) + 0.7 * cross_entropy(x, [1, 1], label_smoothing=0.1)
  const Variable logits(Tensor::from<float>({0.5f, -1.0f, 2.0f, 1.5f, 0.25f, -0.75f}, {2, 3}), true);
  const kernels::BatchLabels labels{Tensor::from<int32_t>({2, 0}, {2}), Tensor::from<int32_t>({1, 1}, {2}),
                                    Tensor::full({}, 0.3)};
  Tensor targets = Tensor::empty({2, 3});
  kernels::mixed_targets(labels, 0.1, targets);
  const Variable loss = F::softmax_cross_entropy_soft(logits, targets);
  loss.backward();
  CHECK(loss.value().item() == Approx(1.7580753));
  test::check_near(logits.grad(), {0.0709785, -0.3121104, 0.2411319, 0.2075535, -0.2287484, 0.0211949}, 1e-6);
}
