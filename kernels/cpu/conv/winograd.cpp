#include "fovea/kernels/cpu/conv/winograd.h"

#include <algorithm>
#include <array>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/panels.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/transpose.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd {
namespace {

constexpr int64_t kWidth = kLanes<float>;
constexpr AllLanes<float> kAll;
constexpr int64_t kTaps = 9;
constexpr int64_t kSide = 4;           // pixels of y along a tile
constexpr int64_t kInput = kSide + 2;  // pixels of x that they come from, and points
constexpr int64_t kPoints = kInput * kInput;

/// Tiles at once: enough for the products, and of up to 128 channels few enough for the L2 cache (32 and 64
/// are equally fast on Zen 5).
constexpr int64_t kTiles = 32;

/// Panels of y at once, whose products then stay in the cache.
constexpr int64_t kColumns = 2 * kWidth;

using Vector = Vec<float>;
using Three = std::array<Vector, 3>;
using Four = std::array<Vector, kSide>;
using Six = std::array<Vector, kInput>;

// The points are 0, kA, -kA, kB, -kB and infinity. Their powers are exact, and they round half as much as the
// usual 1 and 2 do (root mean square of the errors for C = 16 to 256, against f64).
constexpr float kA = 0.75f, kB = 1.5f;
constexpr float kAA = kA * kA, kBB = kB * kB;
// 1 / the product of a point's distances from the others.
constexpr float kScale0 = 1 / (kAA * kBB), kScaleA = 1 / (2 * kAA * (kAA - kBB)),
                kScaleB = 1 / (2 * kBB * (kBB - kAA));

// The matrices along one axis: B^T x, A^T m,
Six input_points(const Six& x) {
  const Vector even_a = x[4] - kBB * x[2], odd_a = kA * (x[3] - kBB * x[1]);
  const Vector even_b = x[4] - kAA * x[2], odd_b = kB * (x[3] - kAA * x[1]);
  return {kAA * kBB * x[0] - (kAA + kBB) * x[2] + x[4],
          even_a + odd_a,
          even_a - odd_a,
          even_b + odd_b,
          even_b - odd_b,
          kAA * kBB * x[1] - (kAA + kBB) * x[3] + x[5]};
}
Four output_pixels(const Six& m) {
  const Vector even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  return {m[0] + even_a + even_b, kA * odd_a + kB * odd_b, kAA * even_a + kBB * even_b,
          kA * kAA * odd_a + kB * kBB * odd_b + m[5]};
}
// A dy,
Six gradient_points(const Four& dy) {
  const Vector even_a = dy[0] + kAA * dy[2], odd_a = kA * (dy[1] + kAA * dy[3]);
  const Vector even_b = dy[0] + kBB * dy[2], odd_b = kB * (dy[1] + kBB * dy[3]);
  return {dy[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, dy[3]};
}
// G w, G^T u.
Six filter_points(const Three& w) {
  const Vector even_a = kScaleA * (w[0] + kAA * w[2]), odd_a = kScaleA * kA * w[1];
  const Vector even_b = kScaleB * (w[0] + kBB * w[2]), odd_b = kScaleB * kB * w[1];
  return {kScale0 * w[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, w[2]};
}
Three filter_taps(const Six& u) {
  const Vector even_a = kScaleA * (u[1] + u[2]), odd_a = kScaleA * kA * (u[1] - u[2]);
  const Vector even_b = kScaleB * (u[3] + u[4]), odd_b = kScaleB * kB * (u[3] - u[4]);
  return {kScale0 * u[0] + even_a + even_b, odd_a + odd_b, kAA * even_a + kBB * even_b + u[5]};
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
template <class Grid, class F>
auto along_both(const Grid& from, F&& f) {
  return along_rows(along_rows(from, f), f);
}

/// Grids of 3x3, 4x4 or 6x6 vectors in memory, at(row, column) numbers from the first.
template <class Row, class At>
auto load_grid(const float* from, At&& at) {
  std::array<Row, std::tuple_size_v<Row>> grid;
  for (size_t r = 0; r < grid.size(); ++r) {
    for (size_t s = 0; s < grid.size(); ++s) {
      grid[r][s] = load(from + at(static_cast<int64_t>(r), static_cast<int64_t>(s)), kAll);
    }
  }
  return grid;
}
template <class Grid, class At>
void store_grid(const Grid& grid, float* to, At&& at) {
  for (size_t r = 0; r < grid.size(); ++r) {
    for (size_t s = 0; s < grid.size(); ++s) {
      store(to + at(static_cast<int64_t>(r), static_cast<int64_t>(s)), kAll, grid[r][s]);
    }
  }
}

/// From the matrix [rows, columns] of a point to the next: never a power of two, which would map an element
/// of all points to the same lines of the cache.
constexpr int64_t matrix_stride(int64_t rows, int64_t columns) {
  return rows * columns + kWidth;
}

/// The points of a tile or a filter, `stride` numbers apart.
auto points_at(int64_t stride) {
  return [stride](int64_t r, int64_t s) { return (kInput * r + s) * stride; };
}

/// weight: f32
Tensor forward_filters(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor filters = Tensor::empty({filter_size(C, K)});
  parallel_for(K / kWidth, 1, [&](int64_t first, int64_t last) {
    for (int64_t k = first * kWidth; k < last * kWidth; k += kWidth) {
      for (int64_t c = 0; c < C; c += kWidth) {
        std::array<Square, kTaps> taps;  // [tap][channel of x], each a vector of channels of y
        for (int64_t tap = 0; tap < kTaps; ++tap) {
          taps[static_cast<size_t>(tap)] =
              transpose(load_rows(weight.data<float>() + (k * kTaps + tap) * C + c, kTaps * C));
        }
        for (int64_t i = 0; i < kWidth; ++i) {
          std::array<Three, 3> filter;
          for (size_t tap = 0; tap < kTaps; ++tap) {
            filter[tap / 3][tap % 3] = taps[tap][static_cast<size_t>(i)];
          }
          store_grid(along_both(filter, filter_points), filters.data<float>() + k * C + (c + i) * kWidth,
                     points_at(matrix_stride(C, K)));
        }
      }
    }
  });
  return filters;
}

}  // namespace

int64_t filter_size(int64_t C, int64_t K) {
  return kPoints * matrix_stride(C, K);
}

bool suits(const ConvProblem& problem) {
  constexpr int64_t kFewestTiles = 4;  // with fewer the filters take longer than what they save
  const int64_t tiles = problem.N * (problem.H / kSide) * (problem.W / kSide);
  return kWidth >= 8 && tiles >= kFewestTiles && problem.R == 3 && problem.S == 3 && problem.stride == 1 &&
         problem.padding == 1 && problem.H % kSide == 0 && problem.W % kSide == 0 &&
         problem.C % kWidth == 0 && problem.K % kWidth == 0;
}

Tensor transform_filters(const Tensor& weight, int64_t pixels) {
  static constexpr char kKind = 0;
  return filters_in_form(weight, pixels, &kKind, [&] { return forward_filters(as_f32(weight)); });
}

Tensor transform_filters_for_input(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor filters = Tensor::empty({filter_size(C, K)});
  parallel_for(C / kWidth, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first * kWidth; c < last * kWidth; c += kWidth) {
      for (int64_t k = 0; k < K; ++k) {
        // A pixel of dx sums over the pixels of dy that it has a part in: the filter turned by 180 degrees.
        const auto filter = load_grid<Three>(weight.data<float>() + k * kTaps * C + c,
                                             [C](int64_t r, int64_t s) { return (3 * (2 - r) + 2 - s) * C; });
        store_grid(along_both(filter, filter_points), filters.data<float>() + c * K + k * kWidth,
                   points_at(matrix_stride(C, K)));
      }
    }
  });
  return filters;
}

void transform_filters_backward(int64_t C, int64_t K, const float* dfilters, float* dweight) {
  for (int64_t k = 0; k < K; k += kWidth) {
    for (int64_t c = 0; c < C; c += kWidth) {
      std::array<Square, kTaps> taps;  // as in transform_filters
      for (int64_t i = 0; i < kWidth; ++i) {
        const auto points =
            load_grid<Six>(dfilters + k * C + (c + i) * kWidth, points_at(matrix_stride(C, K)));
        const auto filter = along_both(points, filter_taps);
        for (size_t tap = 0; tap < kTaps; ++tap) {
          taps[tap][static_cast<size_t>(i)] = filter[tap / 3][tap % 3];
        }
      }
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        store_rows(transpose(taps[static_cast<size_t>(tap)]), dweight + (k * kTaps + tap) * C + c, kTaps * C);
      }
    }
  }
}

/// Whole rows of tiles, counted through the images.
struct TileConv::Tiles {
  int64_t first_row, rows, per_row;

  int64_t count() const { return rows * per_row; }
  /// Rows of the matrices: the products take them by kRowMultiple.
  int64_t padded_count() const { return (count() + kRowMultiple - 1) / kRowMultiple * kRowMultiple; }
  int64_t point_stride(int64_t channels) const { return matrix_stride(padded_count(), channels); }

  /// Room for the points of all tiles, zeros behind the last tile.
  float* points(Tensor& tensor, int64_t channels) const {
    const int64_t size = kPoints * point_stride(channels);
    if (!tensor.defined() || tensor.size() < size) tensor = Tensor::empty({size});
    for (int64_t tile = count(); tile < padded_count(); ++tile) {
      for (int64_t p = 0; p < kPoints; ++p) {
        for (int64_t c = 0; c < channels; c += kWidth) {
          store(tensor.data<float>() + p * point_stride(channels) + c * padded_count() + tile * kWidth, kAll,
                Vector{});
        }
      }
    }
    return tensor.data<float>();
  }
};

/// Calls body(tiles) for blocks of tiles that cover the images.
template <class Body>
void TileConv::for_each_block(int64_t count, Body&& body) const {
  const int64_t rows = count * H_ / kSide, per_row = W_ / kSide;
  const int64_t rows_per_block = std::max<int64_t>(1, kTiles / per_row);
  for (int64_t row = 0; row < rows; row += rows_per_block) {
    body(Tiles{row, std::min(rows_per_block, rows - row), per_row});
  }
}

void TileConv::transform_input(const Tiles& tiles, int64_t C, const float* x, const PixelLayout& layout) {
  if (!zeros_.defined() || zeros_.size() < W_ * layout.pixel) zeros_ = Tensor::zeros({W_ * layout.pixel});
  if (!columns_.defined()) columns_ = Tensor::zeros({(W_ + 2) * kInput * kWidth});
  float* const points = tiles.points(x_points_, C);
  float* const columns =
      columns_.data<float>();  // [W + 2, kInput], vectors; the first and the last stay zero
  const int64_t rows_of_tiles = H_ / kSide;
  for (int64_t i = 0; i < tiles.rows; ++i) {
    const int64_t row = tiles.first_row + i, image = row / rows_of_tiles,
                  top = kSide * (row % rows_of_tiles) - 1;
    for (int64_t c = 0; c < C; c += kWidth) {
      std::array<const float*, kInput> lines;  // of pixels
      for (int64_t r = 0; r < kInput; ++r) {
        const bool is_inside = top + r >= 0 && top + r < H_;
        lines[static_cast<size_t>(r)] =
            is_inside ? x + layout.at((image * H_ + top + r) * W_, c) : zeros_.data<float>();
      }
      for (int64_t w = 0; w < W_; ++w) {
        Six column;
        for (size_t r = 0; r < kInput; ++r) column[r] = load(lines[r] + w * layout.pixel, kAll);
        column = input_points(column);
        for (size_t r = 0; r < kInput; ++r) {
          store(columns + ((w + 1) * kInput + static_cast<int64_t>(r)) * kWidth, kAll, column[r]);
        }
      }
      float* to = points + c * tiles.padded_count() + i * tiles.per_row * kWidth;
      for (int64_t tile = 0; tile < tiles.per_row; ++tile, to += kWidth) {
        for (int64_t r = 0; r < kInput; ++r) {
          Six line;
          for (int64_t s = 0; s < kInput; ++s) {
            line[static_cast<size_t>(s)] = load(columns + ((tile * kSide + s) * kInput + r) * kWidth, kAll);
          }
          line = input_points(line);
          for (int64_t s = 0; s < kInput; ++s) {
            store(to + (kInput * r + s) * tiles.point_stride(C), kAll, line[static_cast<size_t>(s)]);
          }
        }
      }
    }
  }
}

void TileConv::transform_gradient(const Tiles& tiles, int64_t K, const float* dy) {
  float* const points = tiles.points(y_points_, K);
  const int64_t line = W_ * K;
  for (int64_t i = 0; i < tiles.rows; ++i) {
    const float* const top = dy + (tiles.first_row + i) * kSide * line;
    for (int64_t k = 0; k < K; k += kWidth) {
      float* to = points + k * tiles.padded_count() + i * tiles.per_row * kWidth;
      for (int64_t tile = 0; tile < tiles.per_row; ++tile, to += kWidth) {
        const auto pixels = load_grid<Four>(top + tile * kSide * K + k,
                                            [=](int64_t h, int64_t w) { return h * line + w * K; });
        store_grid(along_both(pixels, gradient_points), to, points_at(tiles.point_stride(K)));
      }
    }
  }
}

/// One vector of channels of y, from `k` on.
void TileConv::transform_output(const Tiles& tiles, int64_t k, const float* points,
                                const PixelOutput& y) const {
  const int64_t pixel = y.layout.pixel, line = W_ * pixel;
  const auto transform = [&](const auto& finish) {
    for (int64_t i = 0; i < tiles.rows; ++i) {
      float* pixels = y.to + y.layout.at((tiles.first_row + i) * kSide * W_, k);
      for (int64_t tile = 0; tile < tiles.per_row; ++tile, points += kWidth, pixels += kSide * pixel) {
        const auto products = load_grid<Six>(points, points_at(tiles.point_stride(kColumns)));
        auto grid = along_both(products, output_pixels);
        for (Four& row : grid) {
          for (Vector& value : row) value = finish(value);
        }
        store_grid(grid, pixels, [=](int64_t h, int64_t w) { return h * line + w * pixel; });
      }
    }
  };
  y.affine == nullptr ? transform([](Vector value) { return value; }) : transform(y.activation(k));
}

void TileConv::forward(int64_t count, int64_t C, int64_t K, const float* x, const PixelLayout& x_layout,
                       const float* filters, const PixelOutput& y) {
  for_each_block(count, [&](const Tiles& tiles) {
    transform_input(tiles, C, x, x_layout);
    const float* const from = x_points_.data<float>();
    float* const to = tiles.points(y_points_, kColumns);
    for (int64_t k = 0; k < K; k += kColumns) {
      const int64_t columns = std::min(kColumns, K - k);
      for (int64_t p = 0; p < kPoints; ++p) {
        multiply(tiles.padded_count(), C, columns, from + p * tiles.point_stride(C),
                 filters + p * matrix_stride(C, K) + k * C, to + p * tiles.point_stride(kColumns));
      }
      for (int64_t panel = 0; panel < columns; panel += kWidth) {
        transform_output(tiles, k + panel, to + panel * tiles.padded_count(), y);
      }
    }
  });
}

void TileConv::backward_filters(int64_t count, int64_t C, int64_t K, const float* x, const float* dy,
                                float* dfilters, bool add) {
  for_each_block(count, [&](const Tiles& tiles) {
    transform_input(tiles, C, x, PixelLayout::rows(C));
    transform_gradient(tiles, K, dy);
    for (int64_t p = 0; p < kPoints; ++p) {
      multiply_transposed(C, tiles.padded_count(), K, x_points_.data<float>() + p * tiles.point_stride(C),
                          y_points_.data<float>() + p * tiles.point_stride(K),
                          dfilters + p * matrix_stride(C, K), add || tiles.first_row > 0);
    }
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd
