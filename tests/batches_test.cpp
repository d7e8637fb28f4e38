#include "fovea/training/batches.h"

#include <catch2/catch.hpp>

#include "fovea/core/check.h"
#include "op_test.h"

using namespace fovea;

namespace {

constexpr int64_t kImages = 10;

ImageSet numbered() {
  ImageSet set{"numbered", Tensor::empty({kImages, 8, 8, 3}, Dtype::u8), Tensor::empty({kImages}, Dtype::i32),
               std::vector<std::string>(kImages, "class")};
  for (int64_t i = 0; i < set.images.size(); ++i) {
    set.images.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 % 251);
  }
  for (int64_t i = 0; i < kImages; ++i) set.labels.data<int32_t>()[i] = static_cast<int32_t>(i);
  return set;
}

Tensor number(int64_t i, Device device) {
  return Tensor::from<int64_t>({i}, {}).to(device);
}

std::vector<int32_t> labels_of(const Batch& batch) {
  const Tensor labels = batch.labels.to(Device::cpu());
  return {labels.data<int32_t>(), labels.data<int32_t>() + labels.size()};
}

}  // namespace

TEST_CASE("batches: those of a Loader, wherever the model computes, from any epoch and batch on") {
  const LoaderSettings settings{.batch_size = 3, .augmentation = Augmentation{.padding = 2}, .seed = 7};
  const ImageNormalisation normalisation{{0.5f, 0.25f, 0.125f}, {2, 1, 0.5f}};
  for (const Device device : test::devices()) {
    Batches batches(numbered(), normalisation, settings, {device, Dtype::f32});
    REQUIRE(batches.per_epoch() == 3);
    for (const auto& [epoch, first] :
         std::vector<std::pair<int64_t, int64_t>>{{0, 0}, {1, 0}, {4, 2}, {5, 0}, {5, 1}, {2, 3}, {3, 0}}) {
      INFO(device << ", epoch " << epoch << " from batch " << first);
      batches.begin_epoch(epoch, first);
      Loader loader(numbered(), normalisation, settings);
      if (first < 3) loader.seek(epoch, first);
      for (int64_t i = first; i < 3; ++i) {
        const Batch wanted = loader.next();
        const Batch& found = batches.next(number(i, device));
        CHECK(test::same_bits(found.images.to(Device::cpu()), wanted.images));
        CHECK(labels_of(found) == labels_of(wanted));
      }
    }
  }
}

TEST_CASE("batches: in order, the last one smaller, again and again") {
  const LoaderSettings settings{.batch_size = 4, .shuffle = false, .drop_last = false, .repeat = false};
  for (const Device device : test::devices()) {
    INFO(device);
    Batches batches(numbered(), {}, settings, {device, Dtype::f32});
    REQUIRE(batches.per_epoch() == 3);
    for (int pass = 0; pass < 2; ++pass) {
      batches.begin_epoch(0);
      CHECK(labels_of(batches.next(number(0, device))) == std::vector<int32_t>{0, 1, 2, 3});
      CHECK(labels_of(batches.next(number(1, device))) == std::vector<int32_t>{4, 5, 6, 7});
      CHECK(labels_of(batches.at(2)) == std::vector<int32_t>{8, 9});
    }
    CHECK(labels_of(batches.at(1)) == std::vector<int32_t>{4, 5, 6, 7});  // back, and once more
    CHECK(labels_of(batches.at(1)) == std::vector<int32_t>{4, 5, 6, 7});
  }
}

TEST_CASE("batches: in the dtype of the model") {
  for (const Device device : test::devices()) {
    for (const Dtype dtype : {Dtype::bf16, Dtype::f64}) {
      if (dtype == Dtype::f64 && !device.is_cpu()) continue;
      Batches batches(numbered(), {}, {.batch_size = kImages, .shuffle = false, .repeat = false},
                      {device, dtype});
      CHECK(batches.at(0).images.dtype() == dtype);
    }
  }
}

TEST_CASE("batches: a set of another kind is refused at once") {
  ImageSet wrong = numbered();
  wrong.images = Tensor::zeros({kImages, 8, 8, 3});  // f32
  for (const Device device : test::devices()) {
    CHECK_THROWS_AS(Batches(wrong, {}, {.batch_size = 4}, {device, Dtype::f32}), Error);
  }
}

TEST_CASE("batches: a set without images has none, and a batch of none is an error") {
  ImageSet none = numbered().first(1);
  none.images = Tensor::empty({0, 8, 8, 3}, Dtype::u8);
  none.labels = Tensor::empty({0}, Dtype::i32);
  CHECK(Batches(none, {}, {.batch_size = 4}, {}).per_epoch() == 0);
  CHECK_THROWS_AS(Batches(numbered(), {}, {.batch_size = 0}, {}), UsageError);
}
