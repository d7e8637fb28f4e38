#include "fovea/kernels/cuda/preactivation_pointwise.h"

#include <algorithm>

#include "fovea/kernels/cuda/batch_norm_channels.h"
#include "fovea/kernels/cuda/block_product.h"
#include "fovea/kernels/cuda/moments.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kTileRows = 128;                   // of a block
constexpr int64_t kMostRows = int64_t{1} << 30;  // that are numbered

/// How many tiles, or steps, cover an extent.
__host__ __device__ constexpr int tiles_of(int extent, int of_tile) {
  return (extent + of_tile - 1) / of_tile;
}

/// a = relu(norm(x)), rounded as where it is stored.
template <class T>
struct ActivatedReader {
  const T* x;
  Channels channels;

  static constexpr int kPart = 4;
  __device__ Pack<T, 8> read(int64_t offset) const { return load_pack<8>(x + offset); }
  __device__ Affine<kPart> constants(int64_t c) const { return channels.affine<kPart>(c); }
  __device__ Pack<T, kPart> result(const Affine<kPart>& affine, const Pack<T, 8>& pack, int part) const {
    return to_pack<T>(channels.result(affine, part_to_floats<kPart>(pack, part)));
  }
  __device__ void keep(int64_t, const Pack<T, kPart>&) const {}
};

/// The gradient of y, from that of relu(norm(y)). The blocks of the first tile of channels keep it.
template <class T>
struct PassedBackReader {
  const T *dy, *y;
  T* kept;  // the gradient, or null
  GradientChannels channels;

  static constexpr int kPart = 4;
  struct Packs {
    Pack<T, 8> dy, y;
  };
  __device__ Packs read(int64_t offset) const {
    return {load_pack<8>(dy + offset), load_pack<8>(y + offset)};
  }
  __device__ GradientAffine<kPart> constants(int64_t c) const { return channels.affine<kPart>(c); }
  __device__ Pack<T, kPart> result(const GradientAffine<kPart>& affine, const Packs& packs, int part) const {
    return to_pack<T>(
        channels.result(affine, part_to_floats<kPart>(packs.dy, part), part_to_floats<kPart>(packs.y, part)));
  }
  __device__ void keep(int64_t offset, const Pack<T, kPart>& pack) const {
    if (kept != nullptr) store_pack<kPart>(kept + offset, pack);
  }
};

/// The tile of a block: those beside each other, which read the same rows, follow each other.
struct TilePlace {
  int number, row, column;  // number: of its rows

  __device__ TilePlace(int columns, int tile_rows, int tile_columns) {
    const int block = static_cast<int>(blockIdx.x), beside = tiles_of(columns, tile_columns);
    number = block / beside;
    row = number * tile_rows;
    column = block % beside * tile_columns;
  }
};
Grid tile_grid(int64_t row_tiles, int64_t column_tiles) {
  return {dim3(static_cast<unsigned>(row_tiles * column_tiles)), dim3(kProductThreads)};
}

/// [rows, C] -> [rows, K]
struct Extents {
  int rows, C, K;
};

template <class T>
struct Forward {
  ActivatedReader<T> x;
  PlainReader<T> weight;
  const T* residual;  // or null
  T* y;
  float *mean, *variance;  // [tiles of rows, K], or null
};

/// The moments of the columns of a tile of y, which lies in shared memory, for the chunk of its rows. Sums up
/// differences from the first row, so that a large mean does not cancel the variance.
template <class TileC, int kTileN, class T>
__device__ inline void store_moments(T* shared, const TilePlace& tile, int rows, int K, float* mean,
                                     float* variance) {
  const int thread = static_cast<int>(threadIdx.x), pack = thread % TileC::kPacksOfRow;
  const Floats<8> origin = load<8>(shared + 8 * pack);
  const float own_origin = thread < kTileN ? to_float(shared[thread]) : 0.0f;
  const int count = rows - tile.row < kTileRows ? rows - tile.row : kTileRows;
  Floats<8> sums[2] = {};
  for (int row = thread / TileC::kPacksOfRow; row < count; row += kProductThreads / TileC::kPacksOfRow) {
    const Floats<8> numbers = load<8>(shared + row * TileC::kStride + 8 * pack);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float difference = numbers[i] - origin[i];
      sums[0][i] += difference;
      sums[1][i] += difference * difference;
    }
  }
  __syncthreads();
  float total[2];
  sum_tile_columns<kTileN>(sums, reinterpret_cast<float*>(shared), total);
  if (thread >= kTileN || tile.column + thread >= K) return;
  const float share = 1.0f / static_cast<float>(count), shift = total[0] * share;
  const float of_chunk = total[1] * share - shift * shift;
  const int64_t offset = int64_t{tile.number} * K + tile.column + thread;
  mean[offset] = own_origin + shift;
  variance[offset] = of_chunk < 0.0f ? 0.0f : of_chunk;  // by rounding
}

/// A block computes kTileRows rows of kTileN channels of y: reads x and the residual once, the weights once a
/// tile of rows, writes y once.
template <class T, int kTileN>
__global__ void __launch_bounds__(kProductThreads, 2) forward_kernel(Extents extents, Forward<T> arguments) {
  using Product = BlockProduct<T, kTileRows, kTileN, /*kAGoesDown=*/false, /*kBGoesDown=*/false>;
  using TileC = typename Product::TileC;
  FOVEA_SHARED(uint4, memory, Product::kShared / 8);
  T* const shared = reinterpret_cast<T*>(memory);
  const auto [rows, C, K] = extents;
  const TilePlace tile(K, kTileRows, kTileN);
  Product product;
  product.compute(typename Product::template FactorA<ActivatedReader<T>>{arguments.x, rows, C, tile.row, 0},
                  typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, tile.column, 0},
                  tiles_of(C, kProductDepth), shared);

  const bool has_moments = arguments.mean != nullptr;
  product.store_rounded(shared);
  for_each_pack_of_tile<TileC>(shared, [&](int row, int column, Pack<T, 8> pack) {
    if (tile.row + row >= rows || tile.column + column >= K) return;
    const int64_t offset = int64_t{tile.row + row} * K + tile.column + column;
    if (arguments.residual != nullptr) {
      Floats<8> sums = to_floats(pack);
      const Floats<8> added = load<8>(arguments.residual + offset);
#pragma unroll
      for (int i = 0; i < 8; ++i) sums[i] += added[i];
      pack = to_pack<T>(sums);
    }
    store_pack<8>(arguments.y + offset, pack);
    if (has_moments) store_pack<8>(shared + row * TileC::kStride + column, pack);
  });
  if (has_moments) {
    __syncthreads();
    store_moments<TileC, kTileN>(shared, tile, rows, K, arguments.mean, arguments.variance);
  }
}

template <class T, class Gradient>
struct BackwardInput {
  Gradient gradient;  // [rows, K]
  PlainReader<T> weight;
  const T* x;
  Channels channels;
  T* da;
  float *dweight, *dbias;  // [tiles of rows, C]
};

/// A block computes kTileM rows of kTileN channels of da, and their sums for dweight and dbias: reads what
/// the gradient is made of once a tile of channels, x once, and writes da once.
template <class T, int kTileM, int kTileN, class Gradient>
__global__ void __launch_bounds__(kProductThreads, 2)
    backward_input_kernel(Extents extents, BackwardInput<T, Gradient> arguments) {
  using Product = BlockProduct<T, kTileM, kTileN, /*kAGoesDown=*/false, /*kBGoesDown=*/true>;
  using TileC = typename Product::TileC;
  FOVEA_SHARED(uint4, memory, Product::kShared / 8);
  T* const shared = reinterpret_cast<T*>(memory);
  const auto [rows, C, K] = extents;
  const TilePlace tile(C, kTileM, kTileN);
  if constexpr (!std::is_same_v<Gradient, PlainReader<T>>) {
    if (tile.column != 0) arguments.gradient.kept = nullptr;
  }
  Product product;
  product.compute(typename Product::template FactorA<Gradient>{arguments.gradient, rows, K, tile.row, 0},
                  typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, 0, tile.column},
                  tiles_of(K, kProductDepth), shared);

  const int thread = static_cast<int>(threadIdx.x);
  const int own_column = tile.column + thread % TileC::kPacksOfRow * 8;
  product.store_rounded(shared);
  const bool has_column = own_column < C;
  Affine<8> affine{};
  if (has_column) affine = arguments.channels.template affine<8>(own_column);
  Floats<8> sums[2] = {};
  for_each_pack_of_tile<TileC>(shared, [&](int row, int column, const Pack<T, 8>& pack) {
    if (tile.row + row >= rows || !has_column) return;
    const int64_t offset = int64_t{tile.row + row} * C + tile.column + column;
    store_pack<8>(arguments.da + offset, pack);
    const Floats<8> gradient = to_floats(pack), numbers = load<8>(arguments.x + offset);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float centred = numbers[i] - affine.mean[i];
      const float g = arguments.channels.passed(gradient[i], centred, affine.scale[i], affine.shift[i]);
      sums[0][i] += g;
      sums[1][i] += g * centred;
    }
  });
  __syncthreads();
  float total[2];
  sum_tile_columns<kTileN>(sums, reinterpret_cast<float*>(memory), total);
  if (thread >= kTileN || tile.column + thread >= C) return;
  const int64_t offset = int64_t{tile.number} * C + tile.column + thread;
  arguments.dbias[offset] = total[0];
  arguments.dweight[offset] = total[1] * arguments.channels.template rstd<1>(tile.column + thread)[0];
}

template <class T>
struct BackwardWeight {
  PlainReader<T> gradient;  // [rows, K]
  ActivatedReader<T> x;
  float* dfilters;  // [splits, K, C]
  int split_rows;
};

/// A block sums up the products of a split of the rows for kTileM channels of y and kTileN of x: reads the
/// gradient once a tile of x's channels, and x once a tile of y's.
template <class T, int kTileM, int kTileN>
__global__ void __launch_bounds__(kProductThreads, 2)
    backward_weight_kernel(Extents extents, BackwardWeight<T> arguments) {
  using Product = BlockProduct<T, kTileM, kTileN, /*kAGoesDown=*/true, /*kBGoesDown=*/true>;
  FOVEA_SHARED(uint4, memory, Product::kShared / 8);
  const auto [rows, C, K] = extents;
  const int block = static_cast<int>(blockIdx.x), split = static_cast<int>(blockIdx.y);
  const int beside = tiles_of(C, kTileN), k = block / beside * kTileM, c = block % beside * kTileN;
  const int begin = split * arguments.split_rows;
  const int end = rows - begin > arguments.split_rows ? begin + arguments.split_rows : rows;
  Product product;
  product.compute(typename Product::template FactorA<PlainReader<T>>{arguments.gradient, end, K, begin, k},
                  typename Product::template FactorB<ActivatedReader<T>>{arguments.x, end, C, begin, c},
                  tiles_of(end - begin, kProductDepth), reinterpret_cast<T*>(memory));
  float* const dfilters = arguments.dfilters + int64_t{split} * K * C;
  product.for_each_pair([&](int row, int column, float first, float second) {
    if (k + row >= K || c + column >= C) return;
    store<2>(dfilters + int64_t{k + row} * C + c + column, Floats<2>{{first, second}});
  });
}

/// Calls body.template operator()<T>() for the two dtypes.
template <class Body>
void visit_16_bits(Dtype dtype, Body&& body) {
  if (dtype == Dtype::bf16) {
    body.template operator()<bf16>();
  } else {
    body.template operator()<f16>();
  }
}

/// Calls body.template operator()<width>() with the width of the tiles for so many columns.
template <class Body>
void visit_tile_columns(int64_t columns, Body&& body) {
  if (columns > 32) {
    body.template operator()<64>();
  } else {
    body.template operator()<32>();
  }
}

Extents extents_of(const Tensor& x, const Tensor& weight) {
  const int64_t C = x.shape(3);
  return {static_cast<int>(x.size() / C), static_cast<int>(C), static_cast<int>(weight.shape(0))};
}

template <class T, int kTileM, class Gradient>
void backward_input(const Gradient& gradient, const Tensor& x, const Normalisation& norm,
                    const Tensor& weight, Tensor& da, Tensor& dweight, Tensor& dbias) {
  constexpr const char* kOperation = "preactivation_conv_backward: input";
  const Extents extents = extents_of(x, weight);
  const int64_t C = extents.C, tiles = tiles_of(extents.rows, kTileM);
  Tensor sums = Tensor::empty({2, tiles, C}, Dtype::f32, x.device());
  float* const of_dweight = sums.data<float>();
  float* const of_dbias = of_dweight + tiles * C;
  visit_tile_columns(C, [&]<int kTileN>() {
    launch(kOperation, backward_input_kernel<T, kTileM, kTileN, Gradient>,
           tile_grid(tiles, tiles_of(extents.C, kTileN)), extents,
           BackwardInput<T, Gradient>{gradient,
                                      {weight.data<T>()},
                                      x.data<T>(),
                                      Channels(norm, /*has_relu=*/true),
                                      da.data<T>(),
                                      of_dweight,
                                      of_dbias});
  });
  join_column_pairs(kOperation, of_dweight, of_dbias, /*O=*/1, tiles, C,
                    joined_sums(dweight.data<float>(), dbias.data<float>()));
}

template <class T>
void backward_weight(const Tensor& gradient, const Tensor& x, const Normalisation& norm, const Tensor& weight,
                     Tensor& dfilters) {
  constexpr const char* kOperation = "preactivation_conv_backward: weight";
  constexpr int64_t kBlocks = 264;      // as many as an H100 runs at once; of no device's own: the same bits
  constexpr int64_t kFewestRows = 256;  // of a split: its sums are written and read again
  const Extents extents = extents_of(x, weight);
  const int64_t rows = extents.rows, C = extents.C, K = extents.K;
  const auto run = [&]<int kTileM, int kTileN>() {
    const int64_t tiles = tiles_of(extents.K, kTileM) * tiles_of(extents.C, kTileN);
    const int64_t most = std::clamp<int64_t>(kBlocks / tiles, 1, (rows + kFewestRows - 1) / kFewestRows);
    const int64_t split_rows = (rows + most * kProductDepth - 1) / (most * kProductDepth) * kProductDepth;
    const int64_t splits = (rows + split_rows - 1) / split_rows;
    Tensor partial = Tensor::empty({splits, K, C}, Dtype::f32, x.device());
    const Grid grid{dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(splits)), dim3(kProductThreads)};
    launch(kOperation, backward_weight_kernel<T, kTileM, kTileN>, grid, extents,
           BackwardWeight<T>{{gradient.data<T>()},
                             {x.data<T>(), Channels(norm, /*has_relu=*/true)},
                             partial.data<float>(),
                             static_cast<int>(split_rows)});
    sum_columns(kOperation, partial.data<float>(), /*O=*/1, splits, K * C, /*factor=*/1.0f,
                dfilters.data<T>());
  };
  // Few channels, of x or of y, take a narrow tile: what is beyond them is computed for nothing.
  if (C >= 128) {
    if (K >= 64) return run.template operator()<64, 128>();
    return run.template operator()<32, 128>();
  }
  if (C >= 64) return run.template operator()<128, 64>();
  run.template operator()<128, 32>();
}

}  // namespace

bool is_preactivation_pointwise(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding,
                                std::initializer_list<Tensor> others) {
  const bool is_pointwise = weight.shape(1) == 1 && weight.shape(2) == 1 && stride == 1 && padding == 0;
  const auto is_aligned = [](const Tensor& tensor) {
    return !tensor.defined() || reinterpret_cast<uintptr_t>(tensor.raw()) % 16 == 0;
  };
  return is_pointwise && (x.dtype() == Dtype::bf16 || x.dtype() == Dtype::f16) && x.size() > 0 &&
         x.size() / x.shape(3) <= kMostRows && x.shape(3) % 8 == 0 && weight.shape(0) % 8 == 0 &&
         is_aligned(x) && is_aligned(weight) && std::all_of(others.begin(), others.end(), is_aligned);
}

void preactivation_pointwise_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                     const Tensor& residual, Tensor& y, Tensor& mean, Tensor& variance) {
  constexpr const char* kOperation = "preactivation_conv_forward";
  const Extents extents = extents_of(x, weight);
  const int64_t rows = extents.rows, C = extents.C, K = extents.K, tiles = tiles_of(extents.rows, kTileRows);
  Tensor moments;
  float *tile_mean = nullptr, *tile_variance = nullptr;
  if (mean.defined()) {
    moments = Tensor::empty({2, tiles, K}, Dtype::f32, x.device());
    tile_mean = moments.data<float>();
    tile_variance = tile_mean + tiles * K;
  }
  add_multiply_adds(rows * C * K);
  visit_16_bits(x.dtype(), [&]<class T>() {
    visit_tile_columns(K, [&]<int kTileN>() {
      launch(kOperation, forward_kernel<T, kTileN>, tile_grid(tiles, tiles_of(extents.K, kTileN)), extents,
             Forward<T>{{x.data<T>(), Channels(norm, /*has_relu=*/true)},
                        {weight.data<T>()},
                        residual.defined() ? residual.data<T>() : nullptr,
                        y.data<T>(),
                        tile_mean,
                        tile_variance});
    });
  });
  if (mean.defined()) {
    join_column_pairs(kOperation, tile_mean, tile_variance, /*O=*/1, tiles, K,
                      joined_moments(tiles, kTileRows, rows, mean.data<float>(), variance.data<float>()));
  }
}

void preactivation_pointwise_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                      const Normalisation& norm, const Tensor& weight, Tensor& da,
                                      Tensor& dfilters, Tensor& dweight, Tensor& dbias) {
  const Extents extents = extents_of(x, weight);
  add_multiply_adds(int64_t{2} * extents.rows * extents.C * extents.K);
  visit_16_bits(x.dtype(), [&]<class T>() {
    if (!next.y.defined()) {
      backward_input<T, kTileRows>(PlainReader<T>{dy.data<T>()}, x, norm, weight, da, dweight, dbias);
      return backward_weight<T>(dy, x, norm, weight, dfilters);
    }
    Tensor gradient = Tensor::empty_like(dy);
    const PassedBackReader<T> reader{
        dy.data<T>(), next.y.data<T>(), gradient.data<T>(),
        GradientChannels(next.norm, /*has_relu=*/true, extents.rows, next.dweight, next.dbias)};
    // Of a gradient of two tensors half as many rows, or the registers do not suffice.
    backward_input<T, kTileRows / 2>(reader, x, norm, weight, da, dweight, dbias);
    backward_weight<T>(gradient, x, norm, weight, dfilters);
  });
}

}  // namespace fovea::kernels::cuda
