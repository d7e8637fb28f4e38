#include "fovea/kernels/cpu/winograd.h"

#include <algorithm>
#include <array>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/strips.h"

namespace fovea::kernels::cpu::winograd {
namespace {

constexpr int64_t kWidth = kLanes<float>;
constexpr AllLanes<float> kAll;
constexpr int64_t kTaps = 9;

/// Tiles at once: enough for the products, few enough for the cache (16 to 64 are equally fast on Zen 5).
constexpr int64_t kTiles = 32;

using Vector = Vec<float>;
using Two = std::array<Vector, 2>;
using Three = std::array<Vector, 3>;
using Four = std::array<Vector, 4>;

// The matrices along one axis: B^T x, A^T m,
Four input_points(const Four& x) {
  return {x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]};
}
Two output_pixels(const Four& m) {
  return {m[0] + m[1] + m[2], m[1] - m[2] - m[3]};
}
// A dy,
Four gradient_points(const Two& dy) {
  return {dy[0], dy[0] + dy[1], dy[0] - dy[1], -dy[1]};
}
// G w, G^T u.
Four filter_points(const Three& w) {
  const Vector sum = 0.5f * (w[0] + w[2]), middle = 0.5f * w[1];
  return {w[0], sum + middle, sum - middle, w[2]};
}
Three filter_taps(const Four& u) {
  const Vector sum = 0.5f * (u[1] + u[2]);
  return {u[0] + sum, 0.5f * (u[1] - u[2]), sum + u[3]};
}

/// f of every row, mirrored: [rows][columns] -> [f(columns)][rows]. Twice: f along both axes.
template <class From, size_t rows, class F>
auto along_rows(const std::array<From, rows>& from, F&& f) {
  using To = decltype(f(from[0]));
  std::array<std::array<Vector, rows>, std::tuple_size_v<To>> to;
  for (size_t r = 0; r < rows; ++r) {
    const To row = f(from[r]);
    for (size_t i = 0; i < row.size(); ++i) to[i][r] = row[i];
  }
  return to;
}
template <class Square, class F>
auto along_both(const Square& from, F&& f) {
  return along_rows(along_rows(from, f), f);
}

/// Stores the 16 points of filters of one vector of channels, `stride` numbers apart.
void store_points(const std::array<Three, 3>& taps, float* to, int64_t stride) {
  const auto points = along_both(taps, filter_points);
  for (int64_t p = 0; p < kPoints; ++p) {
    store(to + p * stride, kAll, points[static_cast<size_t>(p / 4)][static_cast<size_t>(p % 4)]);
  }
}

}  // namespace

bool suits(const ConvProblem& problem) {
  return kWidth >= 8 && problem.R == 3 && problem.S == 3 && problem.stride == 1 && problem.padding == 1 &&
         problem.H % 4 == 0 && problem.W % 4 == 0 && problem.C % kWidth == 0 && problem.K % kWidth == 0;
}

Tensor transform_filters(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor filters = Tensor::empty({kPoints, C, K});
  parallel_for(K / kWidth, 1, [&](int64_t first, int64_t last) {
    for (int64_t k = first * kWidth; k < last * kWidth; k += kWidth) {
      for (int64_t c = 0; c < C; c += kWidth) {
        std::array<Square, kTaps> taps;  // [tap][channel of x], each a vector of channels of y
        for (int64_t tap = 0; tap < kTaps; ++tap) {
          Square& square = taps[static_cast<size_t>(tap)];
          for (int64_t i = 0; i < kWidth; ++i) {
            square[static_cast<size_t>(i)] =
                load(weight.data<float>() + ((k + i) * kTaps + tap) * C + c, kAll);
          }
          square = transpose(square);
        }
        for (int64_t i = 0; i < kWidth; ++i) {
          const auto tap = [&](size_t r, size_t s) { return taps[3 * r + s][static_cast<size_t>(i)]; };
          store_points({{{tap(0, 0), tap(0, 1), tap(0, 2)},
                         {tap(1, 0), tap(1, 1), tap(1, 2)},
                         {tap(2, 0), tap(2, 1), tap(2, 2)}}},
                       filters.data<float>() + k * C + (c + i) * kWidth, C * K);
        }
      }
    }
  });
  return filters;
}

Tensor transform_filters_for_input(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor filters = Tensor::empty({kPoints, K, C});
  parallel_for(C / kWidth, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first * kWidth; c < last * kWidth; c += kWidth) {
      for (int64_t k = 0; k < K; ++k) {
        // A pixel of dx sums over the pixels of dy that it has a part in: the filter turned by 180 degrees.
        const auto tap = [&](int64_t r, int64_t s) {
          return load(weight.data<float>() + (k * kTaps + 3 * (2 - r) + 2 - s) * C + c, kAll);
        };
        store_points({{{tap(0, 0), tap(0, 1), tap(0, 2)},
                       {tap(1, 0), tap(1, 1), tap(1, 2)},
                       {tap(2, 0), tap(2, 1), tap(2, 2)}}},
                     filters.data<float>() + c * K + k * kWidth, C * K);
      }
    }
  });
  return filters;
}

void transform_filters_backward(const Tensor& dfilters, Tensor& dweight) {
  const int64_t K = dweight.shape(0), C = dweight.shape(3);
  parallel_for(K / kWidth, 1, [&](int64_t first, int64_t last) {
    for (int64_t k = first * kWidth; k < last * kWidth; k += kWidth) {
      for (int64_t c = 0; c < C; c += kWidth) {
        std::array<Square, kTaps> taps;  // as in transform_filters
        for (int64_t i = 0; i < kWidth; ++i) {
          const float* from = dfilters.data<float>() + k * C + (c + i) * kWidth;
          std::array<Four, 4> points;
          for (int64_t p = 0; p < kPoints; ++p) {
            points[static_cast<size_t>(p / 4)][static_cast<size_t>(p % 4)] = load(from + p * C * K, kAll);
          }
          const auto filter = along_both(points, filter_taps);
          for (size_t tap = 0; tap < kTaps; ++tap) {
            taps[tap][static_cast<size_t>(i)] = filter[tap / 3][tap % 3];
          }
        }
        for (int64_t tap = 0; tap < kTaps; ++tap) {
          const Square square = transpose(taps[static_cast<size_t>(tap)]);
          for (int64_t i = 0; i < kWidth; ++i) {
            store(dweight.data<float>() + ((k + i) * kTaps + tap) * C + c, kAll,
                  square[static_cast<size_t>(i)]);
          }
        }
      }
    }
  });
}

/// Whole rows of tiles, counted through the images.
struct Runner::Tiles {
  int64_t first_row, rows, per_row;
  int64_t count() const { return rows * per_row; }
  /// From the matrix of a point to the next: not a power of two, which would map all points of a tile to the
  /// same lines of the cache.
  int64_t point_stride(int64_t channels) const { return count() * channels + kWidth; }
  float* points(Tensor& tensor, int64_t channels) const {
    const int64_t size = kPoints * point_stride(channels);
    if (!tensor.defined() || tensor.size() < size) tensor = Tensor::empty({size});
    return tensor.data<float>();
  }
};

/// Calls body(tiles) for blocks of tiles that cover the images.
template <class Body>
void Runner::for_each_block(int64_t count, Body&& body) const {
  const int64_t rows = count * H_ / 2, per_row = W_ / 2;
  const int64_t rows_per_block = std::max<int64_t>(2, kTiles / per_row / 2 * 2);  // even: tiles by fours
  for (int64_t row = 0; row < rows; row += rows_per_block) {
    body(Tiles{row, std::min(rows_per_block, rows - row), per_row});
  }
}

void Runner::transform_input(const Tiles& tiles, int64_t C, const float* x) {
  if (!zeros_.defined() || zeros_.size() < W_ * C) zeros_ = Tensor::zeros({W_ * C});
  float* const points = tiles.points(x_points_, C);
  const int64_t point_stride = tiles.point_stride(C);
  for (int64_t i = 0; i < tiles.rows; ++i) {
    const int64_t row = tiles.first_row + i, image = row / (H_ / 2), top = 2 * (row % (H_ / 2)) - 1;
    std::array<const float*, 4> lines;  // of pixels
    for (int64_t r = 0; r < 4; ++r) {
      const bool is_inside = top + r >= 0 && top + r < H_;
      lines[static_cast<size_t>(r)] = is_inside ? x + (image * H_ + top + r) * W_ * C : zeros_.data<float>();
    }
    for (int64_t c = 0; c < C; c += kWidth) {
      const auto column = [&](int64_t w) {
        const int64_t at = w * C + c;
        return input_points({load(lines[0] + at, kAll), load(lines[1] + at, kAll), load(lines[2] + at, kAll),
                             load(lines[3] + at, kAll)});
      };
      float* to = points + c * tiles.count() + i * tiles.per_row * kWidth;
      std::array<Four, 4> columns = {Four{}, column(0)};
      for (int64_t tile = 0; tile < tiles.per_row; ++tile, to += kWidth) {
        columns[2] = column(2 * tile + 1);
        columns[3] = tile + 1 < tiles.per_row ? column(2 * tile + 2) : Four{};
        for (size_t r = 0; r < 4; ++r) {
          const Four line = input_points({columns[0][r], columns[1][r], columns[2][r], columns[3][r]});
          for (size_t s = 0; s < 4; ++s)
            store(to + static_cast<int64_t>(4 * r + s) * point_stride, kAll, line[s]);
        }
        columns[0] = columns[2];  // the next tile begins two pixels on
        columns[1] = columns[3];
      }
    }
  }
}

void Runner::transform_gradient(const Tiles& tiles, int64_t K, const float* dy) {
  float* const points = tiles.points(y_points_, K);
  const int64_t point_stride = tiles.point_stride(K);
  for (int64_t i = 0; i < tiles.rows; ++i) {
    const float* const top = dy + (tiles.first_row + i) * 2 * W_ * K;
    for (int64_t k = 0; k < K; k += kWidth) {
      float* to = points + k * tiles.count() + i * tiles.per_row * kWidth;
      for (int64_t tile = 0; tile < tiles.per_row; ++tile, to += kWidth) {
        const auto column = [&](int64_t w) {
          const float* const pixel = top + (2 * tile + w) * K + k;
          return gradient_points({load(pixel, kAll), load(pixel + W_ * K, kAll)});
        };
        const Four left = column(0), right = column(1);
        for (size_t r = 0; r < 4; ++r) {
          const Four line = gradient_points({left[r], right[r]});
          for (size_t s = 0; s < 4; ++s)
            store(to + static_cast<int64_t>(4 * r + s) * point_stride, kAll, line[s]);
        }
      }
    }
  }
}

/// One vector of channels of y, from `k` on.
void Runner::transform_output(const Tiles& tiles, int64_t K, int64_t k, const float* points, float* y) const {
  const int64_t point_stride = tiles.point_stride(2 * kWidth);
  for (int64_t i = 0; i < tiles.rows; ++i) {
    float* pixel = y + (tiles.first_row + i) * 2 * W_ * K + k;
    for (int64_t tile = 0; tile < tiles.per_row; ++tile, points += kWidth, pixel += 2 * K) {
      std::array<Four, 4> products;
      for (size_t p = 0; p < kPoints; ++p) {
        products[p / 4][p % 4] = load(points + static_cast<int64_t>(p) * point_stride, kAll);
      }
      const std::array<Two, 2> pixels = along_both(products, output_pixels);
      store(pixel, kAll, pixels[0][0]);
      store(pixel + K, kAll, pixels[0][1]);
      store(pixel + W_ * K, kAll, pixels[1][0]);
      store(pixel + W_ * K + K, kAll, pixels[1][1]);
    }
  }
}

void Runner::forward(int64_t count, int64_t C, int64_t K, const float* x, const float* filters, float* y) {
  for_each_block(count, [&](const Tiles& tiles) {
    transform_input(tiles, C, x);
    const float* const from = x_points_.data<float>();
    float* const to = tiles.points(y_points_, 2 * kWidth);
    // Two strips of y at a time, whose products stay in the cache.
    for (int64_t k = 0; k < K; k += 2 * kWidth) {
      const int64_t columns = std::min(2 * kWidth, K - k);
      for (int64_t p = 0; p < kPoints; ++p) {
        multiply(tiles.count(), C, columns, from + p * tiles.point_stride(C), filters + (p * K + k) * C,
                 to + p * tiles.point_stride(2 * kWidth));
      }
      for (int64_t strip = 0; strip < columns; strip += kWidth) {
        transform_output(tiles, K, k + strip, to + strip * tiles.count(), y);
      }
    }
  });
}

void Runner::backward_filters(int64_t count, int64_t C, int64_t K, const float* x, const float* dy,
                              float* dfilters, bool add) {
  for_each_block(count, [&](const Tiles& tiles) {
    transform_input(tiles, C, x);
    transform_gradient(tiles, K, dy);
    for (int64_t p = 0; p < kPoints; ++p) {
      multiply_transposed(C, tiles.count(), K, x_points_.data<float>() + p * tiles.point_stride(C),
                          y_points_.data<float>() + p * tiles.point_stride(K), dfilters + p * C * K,
                          add || tiles.first_row > 0);
    }
  });
}

}  // namespace fovea::kernels::cpu::winograd
