#include "own_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <utility>

#include "fovea/core/available_memory.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/data/resize.h"
#include "fovea/data/split.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace fovea::cli {
namespace {

// Not that of a run: whatever its seed, nothing that it was tested with is trained with by another.
constexpr uint64_t kTestSeed = 20170421;

ImageList list_of(const ImageList& from, const std::vector<int64_t>& places) {
  ImageList list{from.source, {}, {}};
  for (const int64_t place : places) {
    list.images.push_back(from.images[static_cast<size_t>(place)]);
    list.labels.push_back(from.labels[static_cast<size_t>(place)]);
  }
  return list;
}

ImageList first_of(ImageList list, int64_t limit) {
  if (limit <= 0 || limit >= list.size()) return list;
  list.images.resize(static_cast<size_t>(limit));
  list.labels.resize(static_cast<size_t>(limit));
  return list;
}

// The images that could not be read, from any thread, and how far the reading is.
class Reading {
 public:
  explicit Reading(int64_t total) : total_(total) {}

  void fail(const std::string& file, const char* message) {
    const std::lock_guard lock(mutex_);
    failures_.emplace_back(file, message);
  }
  void note(bool is_resized, bool is_cropped) {
    resized_ += is_resized ? 1 : 0;
    cropped_ += is_cropped ? 1 : 0;
    const int64_t done = ++done_;
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock && total_ >= kMany)
      progress_.count("reading", "images", done, total_);
  }
  // DataError with the first that could not be read, and the names of more.
  void finish(const std::string& name, int64_t size) {
    throw_if_stopped("reading images");
    if (!failures_.empty()) {
      constexpr size_t kShown = 5;
      std::sort(failures_.begin(), failures_.end());
      const size_t count = failures_.size();
      std::string more;
      for (size_t i = 1; i < std::min(count, kShown); ++i) more += (i > 1 ? ", " : "") + failures_[i].first;
      if (count > kShown) more += fmt::format(" and {} more", count - kShown);
      throw DataError(str(failures_[0].second, more.empty() ? "" : "; neither can be read: ", more));
    }
    if (resized_ == 0) return;
    progress_.line(on_one_line(
        fmt::format("{}: {} of {} images resized to {}x{} pixels, {} of them cropped to the middle", name,
                    resized_.load(), total_, size, size, cropped_.load())));
  }

 private:
  static constexpr int64_t kMany = 100;  // with fewer, how it goes is not told
  const int64_t total_;
  std::atomic<int64_t> done_ = 0, resized_ = 0, cropped_ = 0;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> failures_;  // file and message
  Progress progress_;
};

ImageSet read_list(const ImageList& list, const OwnImages& images, int64_t size, Reading& reading) {
  const int64_t N = list.size();
  ImageSet set{images.name, Tensor::empty({N, size, size, 3}, Dtype::u8), Tensor::empty({N}, Dtype::i32),
               images.class_names};
  std::copy(list.labels.begin(), list.labels.end(), set.labels.data<int32_t>());
  for (const int64_t image : list.images) {
    std::string file = list.source->file(image);
    if (!file.empty()) set.files.push_back(std::move(file));
  }
  auto* const pixels = set.images.data<uint8_t>();
  const int64_t bytes = size * size * 3;
  parallel_for(N, /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end && !should_stop(); ++n) {
      const int64_t number = list.images[static_cast<size_t>(n)];
      try {
        Tensor image = list.source->read(number);  // [H, W, 3]
        const int64_t H = image.shape(0), W = image.shape(1);
        const bool is_resized = H != size || W != size;
        if (is_resized) image = resized_and_cropped(image, size);
        std::copy_n(image.data<uint8_t>(), bytes, pixels + n * bytes);
        reading.note(is_resized, H != W);
      } catch (const DataError& error) {
        reading.fail(list.source->file(number), error.what());
      }
    }
  });
  return set;
}

// "1.5 GB"
std::string bytes_text(double bytes) {
  return bytes < 1e9 ? fmt::format("{:.0f} MB", bytes / 1e6) : fmt::format("{:.1f} GB", bytes / 1e9);
}

}  // namespace

void take_test_share(OwnImages& images, double share) {
  if (images.test.size() > 0) return;
  if (images.validation.size() > 0 && images.train.size() > 0) {
    std::swap(images.test, images.validation);
    return;
  }
  const int64_t N = images.train.size();
  if (share >= 1) {
    images.test = std::move(images.train);
    images.train = {};
    return;
  }
  const auto classes = static_cast<int64_t>(images.class_names.size());
  const int64_t count = std::llround(share * static_cast<double>(N));
  const auto fail = [&](const std::string& found) {
    throw DataError(str(images.name, ": ", found, ", where ", share,
                        " of the images are to be the test set; add images, change --test-share, or put "
                        "images to test with into a folder test beside a folder train"));
  };
  if (count < 1 || count >= N) fail(str(N, N == 1 ? " image" : " images", " found"));
  const std::vector<int64_t> test =
      held_out_images(images.train.labels, classes, count, kTestSeed, images.name);
  std::vector<int64_t> train;
  std::vector<bool> has_images(images.class_names.size());
  for (int64_t n = 0; n < N; ++n) {
    if (std::binary_search(test.begin(), test.end(), n)) continue;
    train.push_back(n);
    has_images[static_cast<size_t>(images.train.labels[static_cast<size_t>(n)])] = true;
  }
  for (size_t c = 0; c < has_images.size(); ++c) {
    if (!has_images[c]) fail("no image of the class " + images.class_names[c] + " is left to train with");
  }
  images.test = list_of(images.train, test);
  images.train = list_of(images.train, train);
}

void check_fits(const std::string& name, int64_t images, int64_t size, std::optional<int64_t> available) {
  const double needed =
      static_cast<double>(images) * (3 * static_cast<double>(size) * static_cast<double>(size) + 4);
  if (!available || needed <= static_cast<double>(*available)) return;
  throw OutOfMemory(fmt::format(
      "{}: {} images of {}x{} pixels take {} of memory, and {} are left; use a smaller --image-size or "
      "--limit, end other programs, or raise the limit that this process has",
      name, images, size, size, bytes_text(needed), bytes_text(static_cast<double>(*available))));
}

Dataset read_own_images(const OwnImages& images, const Excerpt& excerpt, int64_t size) {
  const ImageList train = excerpt.has_train ? first_of(images.train, excerpt.train_limit) : ImageList{},
                  test = excerpt.has_test ? first_of(images.test, excerpt.test_limit) : ImageList{},
                  validation = excerpt.has_validation ? images.validation : ImageList{};
  const int64_t total = train.size() + test.size() + validation.size();
  check_fits(images.name, total, size, available_memory());
  Reading reading(total);
  Dataset dataset{read_list(train, images, size, reading), read_list(test, images, size, reading)};
  if (validation.size() > 0) dataset.validation = read_list(validation, images, size, reading);
  reading.finish(images.name, size);
  return dataset;
}

}  // namespace fovea::cli
