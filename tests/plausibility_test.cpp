// Data of the right size that cannot be what it is taken for.
#include "fovea/data/plausibility.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "fovea/data/synthetic.h"
#include "test_files.h"

namespace fovea {
namespace {

using Catch::Contains;

constexpr int64_t kTrain = 400, kTest = 200;

ImageSet copy_of(const ImageSet& set) {
  return {set.name, set.images.clone(), set.labels.clone(), set.class_names};
}

Dataset drawn(int64_t train = kTrain, int64_t test = kTest) {
  return {copy_of(synthetic_images(Split::train, train, 1)), copy_of(synthetic_images(Split::test, test, 1))};
}

// Puts image `from` of one set in the place of image `to` of another.
void put(const ImageSet& source, int64_t from, ImageSet& target, int64_t to) {
  const int64_t bytes = source.images.size() / source.size();
  std::memcpy(target.images.data<uint8_t>() + to * bytes, source.images.data<uint8_t>() + from * bytes,
              static_cast<size_t>(bytes));
}

std::string error_of(const Dataset& dataset) {
  return message_of<DataError>([&] { check_plausible(dataset, "DATA"); });
}

}  // namespace

TEST_CASE("plausibility: images that differ, of all classes, are believed") {
  CHECK(check_plausible(drawn(), "DATA").empty());
}

TEST_CASE("plausibility: zeros, one label, and one image again and again are refused") {
  Dataset zeros = drawn();
  zeros.train.images.fill_with_zeros();
  zeros.train.labels.fill_with_zeros();
  CHECK_THAT(error_of(zeros), Contains("DATA: training images: all 400 images have the label 0 (") &&
                                  Contains("expected images of 10 classes; look at the files"));
  Dataset one_label = drawn();
  std::fill_n(one_label.test.labels.data<int32_t>(), kTest, 7);
  CHECK_THAT(error_of(one_label), Contains("DATA: test images: all 200 images have the label 7"));
  Dataset one_image = drawn();
  for (int64_t n = 0; n < kTrain / 2; ++n) put(one_image.train, kTrain - 1, one_image.train, n);
  CHECK_THAT(error_of(one_image), Contains("training images: 201 of 400 images are one and the same"));
  put(drawn().train, 0, one_image.train, 0);
  CHECK_THAT(check_plausible(one_image, "DATA").at(0),
             Contains("199 of 400 images are the same as an earlier"));
}

TEST_CASE("plausibility: the test images are not those that were learnt from") {
  Dataset dataset = drawn();
  for (int64_t n = 0; n < kTest / 2; ++n) put(dataset.train, n, dataset.test, n);
  const std::vector<std::string> warnings = check_plausible(dataset, "DATA");
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains("warning: DATA: test images: 100 of 200 are training images as well"));
  put(dataset.train, kTest / 2, dataset.test, kTest / 2);
  CHECK_THAT(error_of(dataset), Contains("DATA: test images: 101 of 200 are training images as well"));
}

TEST_CASE("plausibility: a few copies are usual, 1% is a warning; so is a class without an image") {
  Dataset dataset = drawn();
  for (int64_t n = 0; n < 3; ++n) put(dataset.train, 100 + n, dataset.train, n);
  CHECK(check_plausible(dataset, "DATA").empty());
  put(dataset.train, 103, dataset.train, 3);
  int32_t* labels = dataset.train.labels.data<int32_t>();
  std::replace(labels, labels + kTrain, 9, 8);
  const std::vector<std::string> warnings = check_plausible(dataset, "DATA");
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0], Contains("4 of 400 images are the same as an earlier one"));
  CHECK_THAT(warnings[1], Contains("none has the label 9 ("));
}

TEST_CASE("plausibility: small sets, and sets of one class, may be anything") {
  Dataset small = drawn(99, 99);
  for (ImageSet* set : {&small.train, &small.test}) {
    set->images.fill_with_zeros();
    set->labels.fill_with_zeros();
  }
  CHECK(check_plausible(small, "DATA").empty());
  Dataset one_class = drawn();
  for (ImageSet* set : {&one_class.train, &one_class.test}) {
    set->labels.fill_with_zeros();
    set->class_names = {"only"};
  }
  CHECK(check_plausible(one_class, "DATA").empty());
}

}  // namespace fovea
