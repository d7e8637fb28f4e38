#include "fovea/kernels/cuda/preactivation_pointwise.h"

#include <algorithm>

#include "fovea/kernels/cuda/chunk_join.h"
#include "fovea/kernels/cuda/moments.h"
#include "fovea/kernels/cuda/preactivation_readers.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kTileRows = 128;                   // of a block
constexpr int64_t kMostRows = int64_t{1} << 30;  // that are numbered
constexpr int64_t kMostChannels = 2048;          // whose constants have room in shared memory

/// Calls body.template operator()<width>() with the width of the tiles for so many columns.
template <class Body>
void visit_tile_columns(int64_t columns, Body&& body) {
  if (columns > 32) {
    body.template operator()<64>();
  } else {
    body.template operator()<32>();
  }
}

/// A grid of tiles, whose blocks multiply in `elements` elements of shared memory of 16 bits and have
/// `constants` numbers beside.
Grid tile_grid(int64_t row_tiles, int64_t column_tiles, int64_t elements, int64_t constants) {
  return {dim3(static_cast<unsigned>(row_tiles * column_tiles)), dim3(kProductThreads),
          static_cast<size_t>(2 * elements + 4 * constants)};
}

/// Calls body(i, row, column) for the packs of this thread that lie in a tile of [rows, columns].
template <class Tile, class Body>
__device__ inline void for_each_pack_inside(const TilePlace& tile, int rows, int columns, Body body) {
  Tile::for_each_pack([&](int i, int row, int column) {
    if (tile.row + row < rows && tile.column + column < columns) body(i, row, column);
  });
}

template <class T>
struct Forward {
  ActivatedReader<T> x;
  PlainReader<T> weight;
  const T* residual;  // or null
  T* y;
  float *mean, *variance;  // [K], or null
  RunningMoments running;
};

/// The moments of the columns of a tile of y, which lies in shared memory, in the first kTileN threads. Sums
/// up differences from the first row, so that a large mean does not cancel the variance.
template <class TileC, class T>
__device__ inline void tile_moments(T* shared, int rows, Floats<1> (&results)[2]) {
  const int thread = static_cast<int>(threadIdx.x), pack = thread % TileC::kPacksOfRow;
  const Floats<8> origin = load<8>(shared + 8 * pack);
  const Floats<1> own_origin{{thread < TileC::kColumns ? to_float(shared[thread]) : 0.0f}};
  Floats<8> sums[2] = {};
  for (int row = thread / TileC::kPacksOfRow; row < rows; row += kProductThreads / TileC::kPacksOfRow) {
    const Floats<8> numbers = load<8>(shared + row * TileC::kStride + 8 * pack);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float difference = numbers[i] - origin[i];
      sums[0][i] += difference;
      sums[1][i] += difference * difference;
    }
  }
  __syncthreads();
  Floats<1> total[2] = {};
  sum_tile_columns<TileC::kColumns>(sums, reinterpret_cast<float*>(shared), total);
  MomentJoin<1>::finish(own_origin, total, static_cast<float>(rows), results);
}

/// A block computes kTileRows rows of kTileN channels of y: reads x and the residual once, the weights once a
/// tile of rows, writes y once. The last block of a column of tiles joins the moments.
template <class T, int kTileN>
__global__ void __launch_bounds__(kProductThreads, 2)
    forward_kernel(Extents extents, Forward<T> arguments, ChunkJoin::Plan plan) {
  using Product = BlockProduct<T, kTileRows, kTileN, /*kBDown=*/false>;
  using TileC = typename Product::TileC;
  FOVEA_DYNAMIC_SHARED(memory, 2 * Product::kShared + 4 * SharedAffine::kArrays * extents.C);
  T* const shared = reinterpret_cast<T*>(memory);
  float* const constants = reinterpret_cast<float*>(shared + Product::kShared);
  const auto [rows, C, K] = extents;
  const TilePlace tile(K, kTileRows, kTileN);
  ActivatedReader<T> x = arguments.x;
  x.channels = x.channels.with_relu();
  x.shared = {constants, C};
  Pack<T, 8> residual[TileC::kPacksOfThread] = {};
  const bool has_residual = arguments.residual != nullptr;
  const auto offset_of = [&](int row, int column) {
    return int64_t{tile.row + row} * K + tile.column + column;
  };
  Product product;
  product.compute(
      typename Product::template FactorA<ActivatedReader<T>>{x, rows, C, tile.row, 0},
      typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, tile.column, 0},
      tiles_of(C, kProductDepth), shared,
      [&] {
        SharedAffine::fill(constants, C, x.channels, 0, C);
        if (!arguments.running.defined() || blockIdx.x != 0) return;
        for (int c = static_cast<int>(threadIdx.x); c < C; c += kProductThreads) {
          arguments.running.move(c, x.channels);
        }
      },
      [&] {
        if (!has_residual) return;
        for_each_pack_inside<TileC>(tile, rows, K, [&](int i, int row, int column) {
          residual[i] = load_pack<8>(arguments.residual + offset_of(row, column));
        });
      });

  product.store_rounded(shared);
  __syncthreads();
  const bool has_moments = arguments.mean != nullptr;
  for_each_pack_inside<TileC>(tile, rows, K, [&](int i, int row, int column) {
    T* const place = shared + row * TileC::kStride + column;
    Pack<T, 8> pack = load_pack<8>(place);
    if (has_residual) {
      Floats<8> sums = to_floats(pack);
      const Floats<8> added = to_floats(residual[i]);
#pragma unroll
      for (int j = 0; j < 8; ++j) sums[j] += added[j];
      pack = to_pack<T>(sums);
      if (has_moments) store_pack<8>(place, pack);
    }
    store_pack<8>(arguments.y + offset_of(row, column), pack);
  });
  if (!has_moments) return;
  __syncthreads();
  Floats<1> results[2];
  tile_moments<TileC>(shared, rows - tile.row < kTileRows ? rows - tile.row : kTileRows, results);
  const int thread = static_cast<int>(threadIdx.x), column = tile.column + thread % kTileN;
  const JoinPlace place{.has_column = column < K,
                        .o = 0,
                        .i = column,
                        .slice = tile.column / kTileN,
                        .chunk = tile.number,
                        .row = thread / kTileN,
                        .down = kProductThreads / kTileN,
                        .stride = kTileN};
  if (!join_chunks<MomentJoin<1>, kProductThreads, 1>(plan, place, results)) return;
  if (thread >= kTileN || column >= K) return;
  arguments.mean[column] = results[0][0];
  arguments.variance[column] = results[1][0];
}

template <class T>
struct InputGradient {
  PlainReader<T> gradient, weight;  // [rows, K], [K, C]
  const T *x, *other, *earlier;     // [rows, C]; other and earlier may be null
  T* dx;
  GradientChannels channels;
};

/// A block computes kTileRows rows of kTileN channels of dx = batch norm's gradient of (gradient * weight) +
/// other: reads the gradient, the weights, x and other once, writes dx once.
template <class T, int kTileN>
__global__ void __launch_bounds__(kProductThreads, 2)
    input_gradient_kernel(Extents extents, InputGradient<T> arguments) {
  using Product = BlockProduct<T, kTileRows, kTileN, /*kBDown=*/true>;
  using TileC = typename Product::TileC;
  FOVEA_DYNAMIC_SHARED(memory, 2 * Product::kShared + 4 * SharedGradientAffine::kArrays * kTileN);
  T* const shared = reinterpret_cast<T*>(memory);
  float* const constants = reinterpret_cast<float*>(shared + Product::kShared);
  const auto [rows, C, K] = extents;
  const TilePlace tile(C, kTileRows, kTileN);
  Pack<T, 8> x[TileC::kPacksOfThread], other[TileC::kPacksOfThread] = {};
  const bool has_other = arguments.other != nullptr;
  const auto offset_of = [&](int row, int column) {
    return int64_t{tile.row + row} * C + tile.column + column;
  };
  Product product;
  product.compute(
      typename Product::template FactorA<PlainReader<T>>{arguments.gradient, rows, K, tile.row, 0},
      typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, 0, tile.column},
      tiles_of(K, kProductDepth), shared,
      [&] { SharedGradientAffine::fill(constants, kTileN, arguments.channels, tile.column, C); },
      [&] {
        for_each_pack_inside<TileC>(tile, rows, C, [&](int i, int row, int column) {
          x[i] = load_pack<8>(arguments.x + offset_of(row, column));
          if (has_other) other[i] = load_pack<8>(arguments.other + offset_of(row, column));
        });
      });

  product.store_rounded(shared);
  // Loaded only now that the sums of the product have left their registers.
  Pack<T, 8> earlier[TileC::kPacksOfThread] = {};
  if (arguments.earlier != nullptr) {
    for_each_pack_inside<TileC>(tile, rows, C, [&](int i, int row, int column) {
      earlier[i] = load_pack<8>(arguments.earlier + offset_of(row, column));
    });
  }
  __syncthreads();
  const SharedGradientAffine affine{constants, kTileN};
  const GradientChannels channels = arguments.channels.with_relu();
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const GradientAffine<4> own = affine.at<4>(TileC::own_column() + 4 * part);
    for_each_pack_inside<TileC>(tile, rows, C, [&](int i, int row, int column) {
      const Floats<4> da = load<4>(shared + row * TileC::kStride + column + 4 * part);
      const Floats<4> added = part_to_floats<4>(other[i], part), sent = part_to_floats<4>(earlier[i], part);
      Floats<4> dx = channels.result(own, da, part_to_floats<4>(x[i], part));
#pragma unroll
      for (int j = 0; j < 4; ++j) dx[j] += added[j] + sent[j];
      const Pack<T, 4> pack = to_pack<T>(dx);
#pragma unroll
      for (int j = 0; j < 2; ++j) x[i].words[2 * part + j] = pack.words[j];  // in its place
    });
  }
  for_each_pack_inside<TileC>(tile, rows, C, [&](int i, int row, int column) {
    store_pack<8>(arguments.dx + offset_of(row, column), x[i]);
  });
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
         std::max(x.shape(3), weight.shape(0)) <= kMostChannels && is_aligned(x) && is_aligned(weight) &&
         std::all_of(others.begin(), others.end(), is_aligned);
}

void preactivation_pointwise_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                     const Tensor& residual, Tensor& y, Tensor& mean, Tensor& variance) {
  constexpr const char* kOperation = "preactivation_conv_forward";
  const Extents extents(x, weight);
  const int64_t rows = extents.rows, C = extents.C, K = extents.K, tiles = tiles_of(extents.rows, kTileRows);
  add_multiply_adds(rows * C * K);
  visit_16_bits(x.dtype(), [&]<class T>() {
    visit_tile_columns(K, [&]<int kTileN>() {
      using Product = BlockProduct<T, kTileRows, kTileN, false>;
      const int64_t beside = tiles_of(extents.K, kTileN);
      ChunkJoin join;
      if (mean.defined()) {
        join = ChunkJoin(kOperation, MomentJoin<1>::kResults, /*O=*/1, rows, K, kTileRows, tiles, beside);
      }
      launch(kOperation, forward_kernel<T, kTileN>,
             tile_grid(tiles, beside, Product::kShared, SharedAffine::kArrays * C), extents,
             Forward<T>{{x.data<T>(), Channels(norm, /*has_relu=*/true)},
                        {weight.data<T>()},
                        residual.defined() ? residual.data<T>() : nullptr,
                        y.data<T>(),
                        mean.defined() ? mean.data<float>() : nullptr,
                        mean.defined() ? variance.data<float>() : nullptr,
                        RunningMoments(norm, rows)},
             join.plan());
    });
  });
}

void preactivation_pointwise_input_gradient(const Tensor& gradient, const Tensor& x,
                                            const Normalisation& norm, const Tensor& weight,
                                            const Tensor& dweight, const Tensor& dbias, const Tensor& other,
                                            const Tensor& earlier, Tensor& dx) {
  const Extents extents(x, weight);
  add_multiply_adds(int64_t{extents.rows} * extents.C * extents.K);
  visit_16_bits(x.dtype(), [&]<class T>() {
    visit_tile_columns(extents.C, [&]<int kTileN>() {
      using Product = BlockProduct<T, kTileRows, kTileN, true>;
      launch("preactivation_conv_backward: gradient of the input", input_gradient_kernel<T, kTileN>,
             tile_grid(tiles_of(extents.rows, kTileRows), tiles_of(extents.C, kTileN), Product::kShared,
                       SharedGradientAffine::kArrays * kTileN),
             extents,
             InputGradient<T>{{gradient.data<T>()},
                              {weight.data<T>()},
                              x.data<T>(),
                              other.defined() ? other.data<T>() : nullptr,
                              earlier.defined() ? earlier.data<T>() : nullptr,
                              dx.data<T>(),
                              GradientChannels(norm, /*has_relu=*/true, extents.rows, dweight, dbias)});
    });
  });
}

}  // namespace fovea::kernels::cuda
