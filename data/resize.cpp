#include "fovea/data/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"

namespace fovea {
namespace {

constexpr int64_t kChannels = 3;
constexpr int kBits = 22;  // of a weight behind the point: as in Pillow, 32 less 8 of a byte and 2 to spare
constexpr int32_t kHalf = 1 << (kBits - 1);
constexpr int64_t kGrain = 1 << 15;  // pixels that are worth a thread

/// A part of an axis of `full` pixels: [begin, begin + count).
struct Window {
  int64_t full, begin, count;
};

/// The pixels of which one new pixel is made: [begin, begin + count), weights from `weights` on.
struct Source {
  int64_t begin, count;
  size_t weights;
};

/// What an axis of `length` pixels becomes in a window of the new one.
struct Axis {
  std::vector<Source> sources;
  std::vector<int32_t> weights;

  Axis(int64_t length, const Window& window) {
    const double scale = static_cast<double>(length) / static_cast<double>(window.full);
    const double reach = std::max(scale, 1.0);
    std::vector<double> exact;
    for (int64_t i = window.begin; i < window.begin + window.count; ++i) {
      const double centre = (static_cast<double>(i) + 0.5) * scale;
      const int64_t begin = std::max<int64_t>(static_cast<int64_t>(centre - reach + 0.5), 0);
      const int64_t end = std::min(static_cast<int64_t>(centre + reach + 0.5), length);
      exact.clear();
      double sum = 0;
      for (int64_t x = begin; x < end; ++x) {
        const double distance = std::abs((static_cast<double>(x) - centre + 0.5) / reach);
        exact.push_back(std::max(1 - distance, 0.0));
        sum += exact.back();
      }
      sources.push_back({begin, end - begin, weights.size()});
      for (const double weight : exact)
        weights.push_back(static_cast<int32_t>(weight / sum * (1 << kBits) + 0.5));
    }
  }

  int64_t begin() const { return sources.front().begin; }  // of all pixels that are looked at
  int64_t end() const { return sources.back().begin + sources.back().count; }
};

uint8_t byte_of(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
}

// A row of pixels -> a row of the columns' new ones.
void resize_row(const uint8_t* row, const Axis& columns, uint8_t* out) {
  for (const Source& source : columns.sources) {
    const uint8_t* pixel = row + source.begin * kChannels;
    const int32_t* weight = columns.weights.data() + source.weights;
    int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (int64_t x = 0; x < source.count; ++x, pixel += kChannels) {
      red += pixel[0] * weight[x];
      green += pixel[1] * weight[x];
      blue += pixel[2] * weight[x];
    }
    *out++ = byte_of(red);
    *out++ = byte_of(green);
    *out++ = byte_of(blue);
  }
}

// Columns first, then rows, bytes in between: the order of Pillow, on which the rounding depends.
Tensor resize_windows(const Tensor& image, const Window& vertical, const Window& horizontal) {
  check(image.dtype() == Dtype::u8 && image.rank() == 3 && image.shape(2) == kChannels && image.size() > 0,
        "resize: ", image, ", wanted u8[H, W, 3]");
  check(vertical.count >= 1 && horizontal.count >= 1, "resize: ", vertical.count, "x", horizontal.count,
        " pixels wanted, at least 1x1 expected");
  const int64_t w = image.shape(1), H = vertical.count, W = horizontal.count;
  const Axis rows(image.shape(0), vertical), columns(w, horizontal);
  const int64_t first = rows.begin(), h = rows.end() - first;

  Tensor narrow = Tensor::empty({h, W, kChannels}, Dtype::u8);
  const auto* pixels = image.data<uint8_t>();
  auto* narrow_pixels = narrow.data<uint8_t>();
  parallel_for(h, std::max<int64_t>(kGrain / w, 1), [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      resize_row(pixels + (first + y) * w * kChannels, columns, narrow_pixels + y * W * kChannels);
    }
  });

  Tensor result = Tensor::empty({H, W, kChannels}, Dtype::u8);
  auto* out = result.data<uint8_t>();
  const int64_t row_bytes = W * kChannels;
  parallel_for(H, std::max<int64_t>(kGrain * H / (h * W), 1), [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(row_bytes));
    for (int64_t y = begin; y < end; ++y) {
      const Source& source = rows.sources[static_cast<size_t>(y)];
      std::fill(sums.begin(), sums.end(), kHalf);
      for (int64_t k = 0; k < source.count; ++k) {
        const int32_t weight = rows.weights[source.weights + static_cast<size_t>(k)];
        const uint8_t* row = narrow_pixels + (source.begin - first + k) * row_bytes;
        for (int64_t i = 0; i < row_bytes; ++i) sums[static_cast<size_t>(i)] += row[i] * weight;
      }
      std::transform(sums.begin(), sums.end(), out + y * row_bytes, byte_of);
    }
  });
  return result;
}

// The middle of `full` pixels; of two that are equally near the even one, as Python rounds.
Window middle_of(int64_t full, int64_t count) {
  const int64_t rest = full - count;
  return {full, rest / 2 + (rest % 4 == 3 ? 1 : 0), count};
}

}  // namespace

Tensor resized(const Tensor& image, int64_t H, int64_t W) {
  return resize_windows(image, {H, 0, H}, {W, 0, W});
}

Tensor resized_and_cropped(const Tensor& image, int64_t size) {
  check(image.rank() == 3 && image.size() > 0 && size >= 1, "resize: ", image, " to ", size,
        " pixels, wanted u8[H, W, 3] and at least 1");
  const int64_t h = image.shape(0), w = image.shape(1), shorter = std::min(h, w);
  return resize_windows(image, middle_of(size * h / shorter, size), middle_of(size * w / shorter, size));
}

ImageSet resized_and_cropped(const ImageSet& set, int64_t size) {
  const int64_t N = set.size(), h = set.images.shape(1), w = set.images.shape(2), C = set.images.shape(3);
  if (h == size && w == size) return set;
  ImageSet result = set;
  result.images = Tensor::empty({N, size, size, C}, Dtype::u8);
  parallel_for(N, /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Tensor image = resized_and_cropped(set.images.slice(n * h * w * C, {h, w, C}), size);
      result.images.slice(n * image.size(), image.shape()).copy_from(image);
    }
  });
  return result;
}

}  // namespace fovea
