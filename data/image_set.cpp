#include "fovea/data/image_set.h"

#include <algorithm>
#include <cmath>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

namespace fovea {
namespace {

constexpr int64_t kPixelsPerChunk = int64_t{1} << 20;

/// Sums over some pixels, channel by channel.
struct Sums {
  std::array<uint64_t, 3> values{}, squares{};
};

}  // namespace

ImageSet ImageSet::first(int64_t count) const {
  check<UsageError>(count >= 1, "ImageSet::first: ", count, " images of ", name,
                    " wanted, at least 1 is needed");
  if (count >= size()) return *this;
  ImageSet result{name, images.slice(0, images.shape().with(0, count)), labels.slice(0, {count}),
                  class_names};
  if (!files.empty()) result.files.assign(files.begin(), files.begin() + count);
  return result;
}

ImageSet mirrored(const ImageSet& set) {
  ImageSet result = set;
  result.images = Tensor::empty(set.images.shape(), Dtype::u8);
  const int64_t W = set.images.shape(2), C = set.images.shape(3), rows = set.images.size() / (W * C);
  const uint8_t* const from = set.images.data<uint8_t>();
  uint8_t* const to = result.images.data<uint8_t>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t w = 0; w < W; ++w) {
      std::copy_n(from + (row * W + w) * C, C, to + (row * W + W - 1 - w) * C);
    }
  }
  return result;
}

ImageNormalisation normalisation_of(const ImageSet& set) {
  check(set.images.defined() && set.images.rank() == 4 && set.images.shape(3) == 3 && set.images.size() > 0,
        "normalisation_of: images are ", set.images, ", wanted u8[N, H, W, 3] that is not empty");
  const uint8_t* bytes = set.images.data<uint8_t>();
  const int64_t pixels = set.images.size() / 3;
  std::vector<Sums> chunks(static_cast<size_t>((pixels + kPixelsPerChunk - 1) / kPixelsPerChunk));
  parallel_for(std::ssize(chunks), /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      Sums sums;
      const int64_t last = std::min(pixels, (chunk + 1) * kPixelsPerChunk);
      for (int64_t pixel = chunk * kPixelsPerChunk; pixel < last; ++pixel) {
        for (size_t c = 0; c < 3; ++c) {
          const uint64_t value = bytes[pixel * 3 + static_cast<int64_t>(c)];
          sums.values[c] += value;
          sums.squares[c] += value * value;
        }
      }
      chunks[static_cast<size_t>(chunk)] = sums;
    }
  });

  ImageNormalisation result;
  for (size_t c = 0; c < 3; ++c) {
    uint64_t values = 0, squares = 0;
    for (const Sums& sums : chunks) {
      values += sums.values[c];
      squares += sums.squares[c];
    }
    const double mean = static_cast<double>(values) / static_cast<double>(pixels);
    const double variance = static_cast<double>(squares) / static_cast<double>(pixels) - mean * mean;
    result.mean[c] = static_cast<float>(mean / 255.0);
    // A channel that is the same everywhere can leave a rounding error; the least true variance is far above.
    const bool is_constant = variance * static_cast<double>(pixels) < 0.25;
    result.deviation[c] = is_constant ? 1.0f : static_cast<float>(std::sqrt(variance) / 255.0);
  }
  return result;
}

}  // namespace fovea
