#include "fovea/kernels/max_pool.h"

#include <limits>

#include "fovea/kernels/cuda/pack.h"
#include "fovea/kernels/cuda/pool_window.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::ImagePacks, cuda::Pack, cuda::PackPosition, cuda::PoolWindow, cuda::IntInterval;

[[maybe_unused]] constexpr int kForwardBlocks = 3;  // on a multiprocessor: a thread keeps nine packs

/// y and winner. A thread makes a pack of channels of one pixel of y: reads the inputs of its window, of
/// which its neighbours read some too, and writes y and winner once. kSize is the window's, or 0 for any.
template <int kWidth, int kSize, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, kForwardBlocks)
    max_pool_forward_kernel(ImagePacks packs, PoolWindow window, int H, int W, int64_t C, const T* x, T* y,
                            uint8_t* winner) {
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);
  const int size = kSize > 0 ? kSize : window.size;
  const int top = static_cast<int>(place.h) * window.stride - window.padding;
  const int left = static_cast<int>(place.w) * window.stride - window.padding;
  const T* const image = x + int64_t{place.n} * H * W * C + place.pack * kWidth;
  const auto is_inside = [&](int r, int s) {
    return (top + r >= 0) & (top + r < H) & (left + s >= 0) & (left + s < W);
  };
  // In place of padding, which never wins, an input is read: loads without conditions are under way together.
  const auto read = [&](int r, int s) {
    const int64_t row = int64_t{std::clamp(top + r, 0, H - 1)} * W * C;
    return cuda::load_pack<kWidth>(image + row + std::clamp(left + s, 0, W - 1) * C);
  };
  // Padding compares as a number that wins against nothing.
  const auto padding = cuda::make_pack<T, kWidth>(
      [](int) { return cuda::from_float<T>(-std::numeric_limits<float>::infinity()); });
  const auto visible = [&](int r, int s, Pack<T, kWidth> pack) {
    const bool inside = is_inside(r, s);
#pragma unroll
    for (int i = 0; i < pack.kWords; ++i) pack.words[i] = inside ? pack.words[i] : padding.words[i];
    return pack;
  };
  cuda::Floats<kWidth> best;
  int chosen[kWidth];
  const auto begin = [&](const Pack<T, kWidth>& pack) {
    // The first input that is no padding wins where all are minus infinity.
    const int first = (top < 0 ? -top : 0) * size + (left < 0 ? -left : 0);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      best[k] = cuda::to_float(pack[k]);
      chosen[k] = first;
    }
  };
  const auto compare = [&](int r, int s, const Pack<T, kWidth>& pack) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float value = cuda::to_float(pack[k]);
      const bool wins = (value > best[k]) | (value != value);  // what is no number stays
      best[k] = wins ? value : best[k];
      chosen[k] = wins ? r * size + s : chosen[k];
    }
  };
  if constexpr (kSize > 0) {
    Pack<T, kWidth> inputs[kSize][kSize];
#pragma unroll
    for (int r = 0; r < kSize; ++r) {
#pragma unroll
      for (int s = 0; s < kSize; ++s) inputs[r][s] = read(r, s);
    }
    begin(visible(0, 0, inputs[0][0]));
#pragma unroll
    for (int i = 1; i < kSize * kSize; ++i) {
      const int r = i / kSize, s = i % kSize;
      compare(r, s, visible(r, s, inputs[r][s]));
    }
  } else {
    begin(visible(0, 0, read(0, 0)));
    for (int r = 0; r < size; ++r) {
      for (int s = r == 0 ? 1 : 0; s < size; ++s) compare(r, s, visible(r, s, read(r, s)));
    }
  }
  cuda::store<kWidth>(y + int64_t{number} * kWidth, best);
  cuda::store_pack<kWidth>(winner + int64_t{number} * kWidth, cuda::make_pack<uint8_t, kWidth>([&](int k) {
                             return static_cast<uint8_t>(chosen[k]);
                           }));
}

/// dx, for any window. A thread makes a pack of channels of one pixel of dx: reads dy and winner of the
/// windows that cover it, of which its neighbours read some too, and writes dx once.
template <int kWidth, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, ImagePacks::kBlocks)
    max_pool_backward_gather_kernel(ImagePacks packs, PoolWindow window, int out_h, int out_w, int64_t C,
                                    const T* dy, const uint8_t* winner, T* dx) {
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);
  const int h = static_cast<int>(place.h) + window.padding, w = static_cast<int>(place.w) + window.padding;
  const IntInterval rows = window.outputs_of(static_cast<int>(place.h), out_h);
  const IntInterval columns = window.outputs_of(static_cast<int>(place.w), out_w);
  const int64_t image = int64_t{place.n} * out_h * out_w * C + place.pack * kWidth;
  cuda::Floats<kWidth> sum{};
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = columns.begin; j < columns.end; ++j) {
      const int64_t offset = image + (int64_t{i} * out_w + j) * C;
      const auto gradients = cuda::load<kWidth>(dy + offset);
      const auto winners = cuda::load_pack<kWidth>(winner + offset);
      const int position = (h - i * window.stride) * window.size + w - j * window.stride;
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        if (winners[k] == position) sum[k] += gradients[k];
      }
    }
  }
  cuda::store<kWidth>(dx + int64_t{number} * kWidth, sum);
}

/// Where the tiles of kStride x kStride pixels that the fixed windows share begin.
struct Tiles {
  int first, count;

  Tiles(const Window& window, int64_t extent)
      : first(static_cast<int>(window.padding / window.stride)),
        count(static_cast<int>((window.padding + extent - 1) / window.stride) - first + 1) {}
};

/// dx, for windows of kSize with kStride. Pixels whose place, padding counted, is the same after division by
/// the stride lie in the same windows: a thread makes a pack of channels of such a tile of dx. It reads dy
/// and winner of its windows once, at the edges of tiles beside its neighbours, and writes dx once.
template <int kWidth, int kSize, int kStride, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, ImagePacks::kBlocks)
    max_pool_backward_tile_kernel(ImagePacks packs, int first_row, int first_column, int padding, int H,
                                  int W, int out_h, int out_w, int64_t C, const T* dy, const uint8_t* winner,
                                  T* dx) {
  constexpr int kWindows = (kSize + kStride - 1) / kStride;  // that cover a tile, along an axis
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);  // of tiles
  const int tile_h = first_row + static_cast<int>(place.h), tile_w = first_column + static_cast<int>(place.w);
  const int64_t image = int64_t{place.n} * out_h * out_w * C + place.pack * kWidth;
  Pack<T, kWidth> gradients[kWindows][kWindows];
  Pack<uint8_t, kWidth> winners[kWindows][kWindows];
#pragma unroll
  for (int a = 0; a < kWindows; ++a) {
#pragma unroll
    for (int b = 0; b < kWindows; ++b) {
      // A window beside the image is left out below; what is read in its place is another one.
      const int i = std::clamp(tile_h - (kWindows - 1) + a, 0, out_h - 1);
      const int j = std::clamp(tile_w - (kWindows - 1) + b, 0, out_w - 1);
      const int64_t offset = image + (int64_t{i} * out_w + j) * C;
      gradients[a][b] = cuda::load_pack<kWidth>(dy + offset);
      winners[a][b] = cuda::load_pack<kWidth>(winner + offset);
    }
  }
#pragma unroll
  for (int down = 0; down < kStride; ++down) {
#pragma unroll
    for (int across = 0; across < kStride; ++across) {
      const int h = tile_h * kStride + down - padding, w = tile_w * kStride + across - padding;
      if (h < 0 || h >= H || w < 0 || w >= W) continue;
      cuda::Floats<kWidth> sum{};
#pragma unroll
      for (int a = 0; a < kWindows; ++a) {
        const int i = tile_h - (kWindows - 1) + a, r = down + kStride * (kWindows - 1 - a);
#pragma unroll
        for (int b = 0; b < kWindows; ++b) {
          const int j = tile_w - (kWindows - 1) + b, s = across + kStride * (kWindows - 1 - b);
          if (r >= kSize || s >= kSize) continue;
          if (i < 0 || i >= out_h || j < 0 || j >= out_w) continue;
#pragma unroll
          for (int k = 0; k < kWidth; ++k) {
            if (winners[a][b][k] == r * kSize + s) sum[k] += cuda::to_float(gradients[a][b][k]);
          }
        }
      }
      cuda::store<kWidth>(dx + ((int64_t{place.n} * H + h) * W + w) * C + place.pack * kWidth, sum);
    }
  }
}

template <int kSize, int kStride, int kWidth, class T>
void launch_tiles(const Tensor& dy, const Tensor& winner, const Window& window, Tensor& dx) {
  const int64_t H = dx.shape(1), W = dx.shape(2), C = dx.shape(3);
  const Tiles rows(window, H), columns(window, W);
  const ImagePacks packs("max_pool", Shape{dx.shape(0), rows.count, columns.count, C}, kWidth);
  cuda::launch("max_pool", max_pool_backward_tile_kernel<kWidth, kSize, kStride, T>, packs.grid(), packs,
               rows.first, columns.first, window.padding, H, W, dy.shape(1), dy.shape(2), C, dy.data<T>(),
               winner.data<uint8_t>(), dx.data<T>());
}

}  // namespace

void max_pool_forward(const Tensor& x, const Window& window, Tensor& y, Tensor& winner) {
  if (y.size() == 0) return;
  const int64_t C = x.shape(3);
  visit_device_floating("max_pool", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const ImagePacks packs("max_pool", y.shape(), kWidth);
      const auto launch_size = [&](auto* kernel) {
        launch("max_pool", kernel, packs.grid(), packs, PoolWindow(window), x.shape(1), x.shape(2), C,
               x.data<T>(), y.data<T>(), winner.data<uint8_t>());
      };
      if (window.size == 3) {
        launch_size(max_pool_forward_kernel<kWidth, 3, T>);
      } else {
        launch_size(max_pool_forward_kernel<kWidth, 0, T>);
      }
    };
    visit_width<T>(C, run, x.data<T>(), y.data<T>(), winner.data<uint8_t>());
  });
}

void max_pool_backward(const Tensor& dy, const Tensor& winner, const Window& window, Tensor& dx) {
  if (dx.size() == 0) return;
  const int64_t C = dx.shape(3);
  visit_device_floating("max_pool", dx.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      if (window.size == 3 && window.stride == 2) {
        launch_tiles<3, 2, kWidth, T>(dy, winner, window, dx);
      } else if (window.size == 2 && window.stride == 2) {
        launch_tiles<2, 2, kWidth, T>(dy, winner, window, dx);
      } else {
        const ImagePacks packs("max_pool", dx.shape(), kWidth);
        launch("max_pool", max_pool_backward_gather_kernel<kWidth, T>, packs.grid(), packs,
               PoolWindow(window), dy.shape(1), dy.shape(2), C, dy.data<T>(), winner.data<uint8_t>(),
               dx.data<T>());
      }
    };
    visit_width<T>(C, run, dy.data<T>(), winner.data<uint8_t>(), dx.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
