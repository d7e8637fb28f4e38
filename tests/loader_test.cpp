#include "fovea/data/loader.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "test_files.h"

using namespace fovea;
using Catch::Contains;

namespace {

/// Image n is labelled n, and all its bytes are n.
ImageSet numbered(int64_t N) {
  ImageSet set{"numbered", Tensor::empty({N, 4, 4, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32), {}};
  for (int64_t n = 0; n < N; ++n) {
    set.labels.data<int32_t>()[n] = static_cast<int32_t>(n);
    std::fill_n(set.images.data<uint8_t>() + n * 48, 48, static_cast<uint8_t>(n));
    set.class_names.push_back(std::to_string(n));
  }
  return set;
}

std::vector<int32_t> labels_of(const Batch& batch) {
  const std::span<const int32_t> labels = batch.labels.span<int32_t>();
  return {labels.begin(), labels.end()};
}

std::vector<int32_t> epoch_of(Loader& loader) {
  std::vector<int32_t> labels;
  for (int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
    for (const int32_t label : labels_of(loader.next())) labels.push_back(label);
  }
  return labels;
}

bool same(const Batch& a, const Batch& b) {
  return a.images.shape() == b.images.shape() &&
         std::memcmp(a.images.raw(), b.images.raw(), a.images.bytes()) == 0 && labels_of(a) == labels_of(b);
}

const LoaderSettings kVaried{
    .batch_size = 8, .shuffle = true, .augmentation = Augmentation{.padding = 2}, .seed = 5};

}  // namespace

TEST_CASE("shuffled_order: a permutation, another in each epoch, the same on each call") {
  const std::vector<int64_t> order = shuffled_order(1000, /*seed=*/1, /*epoch=*/0);
  CHECK(order == shuffled_order(1000, 1, 0));
  CHECK(order != shuffled_order(1000, 1, 1));
  CHECK(order != shuffled_order(1000, 2, 0));
  std::vector<int64_t> sorted = order, numbers(1000);
  std::sort(sorted.begin(), sorted.end());
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  CHECK(sorted == numbers);
  CHECK(order != numbers);
  CHECK(shuffled_order(0, 1, 0).empty());
}

TEST_CASE("shuffled_order: every order of three comes up equally often") {
  std::vector<int> counts(27);
  for (uint32_t epoch = 0; epoch < 6000; ++epoch) {
    const std::vector<int64_t> order = shuffled_order(3, 1, epoch);
    ++counts[static_cast<size_t>(order[0] * 9 + order[1] * 3 + order[2])];
  }
  for (const int code : {5, 7, 11, 15, 19, 21}) {
    CHECK(counts[static_cast<size_t>(code)] > 880);  // 1000 expected, with a deviation of 29
    CHECK(counts[static_cast<size_t>(code)] < 1120);
  }
}

TEST_CASE("loader: in order, with and without the last images") {
  LoaderSettings settings{.batch_size = 4, .shuffle = false, .drop_last = true};
  Loader dropping(numbered(10), {}, settings);
  CHECK(dropping.batches_per_epoch() == 2);
  CHECK(epoch_of(dropping) == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(labels_of(dropping.next()) == std::vector<int32_t>{0, 1, 2, 3});

  settings.drop_last = false;
  Loader keeping(numbered(10), {}, settings);
  CHECK(keeping.batches_per_epoch() == 3);
  CHECK(epoch_of(keeping) == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(labels_of(keeping.next()) == std::vector<int32_t>{0, 1, 2, 3});
}

TEST_CASE("loader: shuffled epochs visit every image once, in the order of shuffled_order") {
  Loader loader(numbered(10), {}, {.batch_size = 3, .drop_last = false, .seed = 9});
  for (uint32_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int64_t> order = shuffled_order(10, 9, epoch);
    CHECK(epoch_of(loader) == std::vector<int32_t>(order.begin(), order.end()));
  }
}

TEST_CASE("loader: seeking gives the bits that going there gives, forwards and back") {
  const ImageSet set = numbered(50);
  Loader loader(set, {}, kVaried);
  const int64_t batches = loader.batches_per_epoch();
  REQUIRE(batches == 6);
  std::vector<Batch> all;
  for (int64_t i = 0; i < 4 * batches; ++i) all.push_back(loader.next());
  for (const int64_t start : {13, 0, 23, 5, 6, 12}) {
    loader.seek(start / batches, start % batches);
    for (int64_t i = start; i < std::min<int64_t>(start + 5, 24); ++i) {
      CHECK(same(loader.next(), all[static_cast<size_t>(i)]));
    }
  }
  Loader fresh(set, {}, kVaried);
  fresh.seek(2, 3);
  CHECK(same(fresh.next(), all[15]));
}

TEST_CASE("loader: the same bits with any number of threads") {
  const int before = num_threads();
  std::vector<Batch> first;
  for (const int threads : {1, 4}) {
    set_num_threads(threads);
    Loader loader(numbered(50), {}, kVaried);
    for (size_t i = 0; i < 8; ++i) {
      const Batch batch = loader.next();
      if (threads == 1) {
        first.push_back(batch);
      } else {
        CHECK(same(batch, first[i]));
      }
    }
  }
  set_num_threads(before);
}

TEST_CASE("loader: what goes wrong in the thread is thrown by next, until a seek") {
  ImageSet set = numbered(20);
  set.images = Tensor::zeros({20, 4, 4, 3});  // f32
  Loader loader(set, {}, {.batch_size = 4});
  for (int i = 0; i < 2; ++i) {
    CHECK_THAT(message_of<Error>([&] { loader.next(); }), Contains("f32[20, 4, 4, 3]"));
  }
  loader.seek(1, 0);
  CHECK_THROWS_AS(loader.next(), Error);

  Loader padded(numbered(20), {}, {.batch_size = 4, .augmentation = Augmentation{.padding = 9}});
  CHECK_THROWS_AS(padded.next(), UsageError);
}

TEST_CASE("loader: what is not to be repeated ends with its epoch, until a seek") {
  for (const int64_t batch_size : {4, 10}) {  // with a thread, and as a single batch without
    INFO("batches of " << batch_size);
    Loader loader(numbered(10), {},
                  {.batch_size = batch_size, .shuffle = false, .drop_last = false, .repeat = false});
    const std::vector<int32_t> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (int pass = 0; pass < 2; ++pass) {
      CHECK(epoch_of(loader) == all);
      for (int i = 0; i < 2; ++i) {
        CHECK_THAT(message_of<UsageError>([&] { loader.next(); }), Contains("the epoch is at its end"));
      }
      loader.seek(pass, 0);
    }
    loader.seek(7, loader.batches_per_epoch() - 1);
    CHECK(labels_of(loader.next()).back() == 9);
    CHECK_THROWS_AS(loader.next(), UsageError);
  }
  ImageSet wrong = numbered(4);
  wrong.images = Tensor::zeros({4, 4, 4, 3});  // f32
  Loader loader(wrong, {}, {.batch_size = 4, .repeat = false});
  for (int i = 0; i < 2; ++i) {
    CHECK_THAT(message_of<Error>([&] { loader.next(); }), Contains("f32[4, 4, 4, 3]"));
  }
}

TEST_CASE("loader: a set that fills no batch, and places that are not there, are errors") {
  CHECK_THAT(message_of<UsageError>([] { Loader(numbered(3), {}, {.batch_size = 4}); }),
             Contains("3 images of numbered fill no batch of 4"));
  CHECK_NOTHROW(Loader(numbered(3), {}, {.batch_size = 4, .drop_last = false}));
  CHECK_THROWS_AS(Loader(numbered(3), {}, {.batch_size = 0}), UsageError);
  CHECK_THROWS_AS(Loader(ImageSet{}, {}, {.batch_size = 4, .drop_last = false}), UsageError);
  Loader loader(numbered(8), {}, {.batch_size = 4});
  CHECK_THROWS_AS(loader.seek(0, 2), UsageError);
  CHECK_THROWS_AS(loader.seek(-1, 0), UsageError);
  CHECK_THROWS_AS(loader.seek(int64_t{1} << 32, 0), UsageError);
}

TEST_CASE("loader: ends and moves at any moment") {
  for (int64_t taken = 0; taken < 20; ++taken) {
    Loader loader(numbered(50), {}, kVaried);
    for (int64_t i = 0; i < taken; ++i) loader.next();
    if (taken % 2 == 0) loader.seek(taken, 0);
    const Loader moved = std::move(loader);
    CHECK(moved.batches_per_epoch() == 6);
  }
}

TEST_CASE("SerialScope: parallel_for stays on its thread, and goes back to many after it") {
  const int before = num_threads();
  set_num_threads(4);
  int calls = 0;  // no atomic needed: one thread
  {
    const SerialScope outer;
    { const SerialScope inner; }
    parallel_for(100, 1, [&](int64_t begin, int64_t end) {
      ++calls;
      CHECK(begin == 0);
      CHECK(end == 100);
    });
  }
  CHECK(calls == 1);
  std::vector<int64_t> ends(100);
  parallel_for(100, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ends[static_cast<size_t>(i)] = end;
  });
  CHECK(ends.front() < 100);
  set_num_threads(before);
}
