#include "fovea/kernels/cuda/conv/fused_1x1.h"

#include <algorithm>

#include "fovea/kernels/cuda/chunk_join.h"
#include "fovea/kernels/cuda/conv/fused_1x1_readers.h"
#include "fovea/kernels/cuda/moments.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kTileRows = 64;
constexpr int64_t kMostRows = int64_t{1} << 30;  // that are numbered
constexpr int64_t kMostChannels = 2048;          // whose constants have room in shared memory

/// Calls body.template operator()<width>() with the width of the tiles for so many columns, at most kMost.
template <int kMost, class Body>
void visit_tile_columns(int64_t columns, Body&& body) {
  if constexpr (kMost > 64) {
    if (columns > 64) return body.template operator()<kMost>();
  }
  if (columns > 32) {
    body.template operator()<64>();
  } else {
    body.template operator()<32>();
  }
}

/// How [rows, columns] are shared by blocks, each with some tiles below each other.
struct TileSplits : RowSplits {
  int64_t beside;

  // Sums are taken over 1024 rows at most, so that squares keep their digits when the first row is far from
  // the others.
  TileSplits(int all_rows, int columns, int of_columns)
      : RowSplits(all_rows, kTileRows, tiles_of(columns, of_columns), /*blocks=*/2, /*least=*/kTileRows,
                  /*most=*/1024),
        beside(tiles_of(columns, of_columns)) {}
  /// A grid whose blocks have `elements` elements of 16 bits and `numbers` of f32 in shared memory.
  Grid grid(int64_t elements, int64_t numbers) const {
    return {dim3(static_cast<unsigned>(count * beside)), dim3(kProductThreads),
            static_cast<size_t>(2 * elements + 4 * numbers)};
  }
};

/// The tiles of a block in a matrix [rows, columns]: those beside each other, which read the same rows,
/// follow each other.
struct TilePlace {
  int rows, columns;
  int number, row, end, column;  // number: of the split, whose rows go from `row` to `end`

  __device__ TilePlace(int rows_, int columns_, int of_columns, int split_rows)
      : rows(rows_), columns(columns_) {
    const int block = static_cast<int>(blockIdx.x), beside = tiles_of(columns, of_columns);
    number = block / beside;
    row = number * split_rows;
    end = rows - row > split_rows ? row + split_rows : rows;
    column = block % beside * of_columns;
  }
  /// Where the first element of the tile is that begins with a row.
  __device__ int64_t begin_of(int first) const { return int64_t{first} * columns + column; }
  /// Calls body(i, at, offset) for the packs of this thread in the tile that begins with a row: where a pack
  /// is in a Tile in shared memory, and from `begin_of` on in the matrix. Those outside the matrix are left
  /// out.
  template <class Tile, class Body>
  __device__ void for_each_pack(int first, Body body) const {
    if (column + Tile::own_column() >= columns) return;
    const int left = rows - first;
    Tile::for_each_pack([&](int i, int r, int c) {
      if (r < left) body(i, r * Tile::kStride + c, r * columns + c);
    });
  }
};

template <class T>
struct Forward {
  ActivatedReader<T> x;
  PlainReader<T> weight;
  const T* residual;  // or null
  T* y;
  float *mean, *variance;  // [K], or null
  RunningMoments running;
};

/// The moments of the columns that a block writes: every thread sums up the rows that it has of its columns,
/// with the block's first row as origin.
template <class T>
struct TileMoments {
  Pack<T, 8> origin{};
  Floats<8> sums[2] = {};

  __device__ void add(const Pack<T, 8>& row) { add_moments(to_floats(origin), row, sums); }
  /// Leaves the moments of all rows, `rows` of them, in the first threads, one for each column of TileC.
  template <class TileC>
  __device__ void finish(float* shared, int rows, Floats<1> (&results)[2]) const {
    constexpr int kColumns = TileC::kColumns;
    const int thread = static_cast<int>(threadIdx.x);
    float* const origins = shared + kProductWarps * 2 * kColumns;
    if (thread < TileC::kPacksOfRow) store_wide(origins + 8 * thread, to_floats(origin));
    Floats<1> total[2] = {};
    sum_tile_columns<kColumns>(sums, shared, total);  // has a barrier
    const Floats<1> own_origin{{thread < kColumns ? origins[thread] : 0.0f}};
    MomentJoin<1>::finish(own_origin, total, static_cast<float>(rows), results);
  }
};

/// The pack of a tile, plus the residual, if there is one.
template <class T>
__device__ inline Pack<T, 8> with_residual(const Pack<T, 8>& pack, const Pack<T, 8>& residual, bool has_one) {
  if (!has_one) return pack;
  Floats<8> sums = to_floats(pack);
  const Floats<8> added = to_floats(residual);
#pragma unroll
  for (int i = 0; i < 8; ++i) sums[i] += added[i];
  return to_pack<T>(sums);
}

// Blocks of the forward pass on a multiprocessor: the widest tiles leave no room for a second before compute
// capability 8.0, whose registers the first may have.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <int kTileN>
constexpr int kForwardBlocks = kTileN > 64 ? 1 : 2;
#else
template <int kTileN>
constexpr int kForwardBlocks = 2;
#endif

/// A block computes some tiles of y, below each other: reads x and the residual once, the weights once a
/// tile, writes y once. The last block of a column of tiles joins the moments.
template <class T, int kTileN>
__global__ void __launch_bounds__(kProductThreads, kForwardBlocks<kTileN>)
    forward_kernel(Extents extents, Forward<T> arguments, int split_rows, ChunkJoin::Plan plan) {
  using Product = BlockProduct<T, kTileRows, kTileN, /*kBDown=*/false>;
  using TileC = typename Product::TileC;
  FOVEA_DYNAMIC_SHARED(memory,
                       static_cast<size_t>(2 * Product::kShared + 4 * SharedAffine::kArrays * extents.C));
  T* const shared = reinterpret_cast<T*>(memory);
  float* const constants = reinterpret_cast<float*>(shared + Product::kShared);
  const auto [rows, C, K] = extents;
  const TilePlace place(rows, K, kTileN, split_rows);
  ActivatedReader<T> x = arguments.x;
  x.channels = x.channels.with_relu();
  x.shared = {constants, C};
  Pack<T, 8> residual[TileC::kPacksOfThread] = {};
  TileMoments<T> moments;
  const bool has_residual = arguments.residual != nullptr, has_moments = arguments.mean != nullptr;
  Product product;
  product.stream(
      typename Product::template FactorA<ActivatedReader<T>>{x, rows, C, place.row, 0},
      typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, place.column, 0},
      tiles_of(C, kProductDepth), place.end, shared,
      [&] {
        SharedAffine::fill(constants, C, x.channels, 0, C);
        if (!arguments.running.defined() || blockIdx.x != 0) return;
        for (int c = static_cast<int>(threadIdx.x); c < C; c += kProductThreads) {
          arguments.running.move(c, x.channels);
        }
      },
      [&](int row) {
        if (!has_residual) return;
        const T* const begin = arguments.residual + place.begin_of(row);
        place.for_each_pack<TileC>(
            row, [&](int i, int, int offset) { residual[i] = load_pack<8>(begin + offset); });
      },
      [&](int row, const T* result) {
        const int column = TileC::own_column();
        if (has_moments && row == place.row && place.column + column < K) {
          Pack<T, 8> of_residual{};
          if (has_residual) {
            of_residual = load_pack<8>(arguments.residual + place.begin_of(place.row) + column);
          }
          moments.origin = with_residual(load_pack<8>(result + column), of_residual, has_residual);
        }
        T* const begin = arguments.y + place.begin_of(row);
        place.for_each_pack<TileC>(row, [&](int i, int at, int offset) {
          const Pack<T, 8> pack = with_residual(load_pack<8>(result + at), residual[i], has_residual);
          store_pack<8>(begin + offset, pack);
          if (has_moments) moments.add(pack);
        });
      });

  if (!has_moments) return;
  Floats<1> results[2];
  moments.template finish<TileC>(reinterpret_cast<float*>(shared), place.end - place.row, results);
  const int thread = static_cast<int>(threadIdx.x), column = place.column + thread % kTileN;
  const JoinPlace join_place{.has_column = column < K,
                             .o = 0,
                             .i = column,
                             .slice = place.column / kTileN,
                             .chunk = place.number,
                             .row = thread / kTileN,
                             .down = kProductThreads / kTileN,
                             .stride = kTileN};
  if (!join_chunks<MomentJoin<1>, kProductThreads, 1>(plan, join_place, results)) return;
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

/// A block computes some tiles, below each other, of dx = other + earlier + batch norm's gradient of
/// (gradient * weight): reads the gradient, x, other and earlier once, the weights once a tile, writes dx
/// once.
template <class T, int kTileN>
__global__ void __launch_bounds__(kProductThreads, 2)
    input_gradient_kernel(Extents extents, InputGradient<T> arguments, int split_rows) {
  using Product = BlockProduct<T, kTileRows, kTileN, /*kBDown=*/true>;
  using TileC = typename Product::TileC;
  FOVEA_DYNAMIC_SHARED(memory, 2 * Product::kShared + 4 * SharedGradientAffine::kArrays * kTileN);
  T* const shared = reinterpret_cast<T*>(memory);
  float* const constants = reinterpret_cast<float*>(shared + Product::kShared);
  const auto [rows, C, K] = extents;
  const TilePlace place(rows, C, kTileN, split_rows);
  Pack<T, 8> x[TileC::kPacksOfThread], other[TileC::kPacksOfThread] = {};
  const bool has_other = arguments.other != nullptr;
  const SharedGradientAffine affine{constants, kTileN};
  const GradientChannels channels = arguments.channels.with_relu();
  Product product;
  product.stream(
      typename Product::template FactorA<PlainReader<T>>{arguments.gradient, rows, K, place.row, 0},
      typename Product::template FactorB<PlainReader<T>>{arguments.weight, K, C, 0, place.column},
      tiles_of(K, kProductDepth), place.end, shared,
      [&] { SharedGradientAffine::fill(constants, kTileN, arguments.channels, place.column, C); },
      [&](int row) {
        const T* const begin = arguments.x + place.begin_of(row);
        place.for_each_pack<TileC>(row, [&](int i, int, int offset) { x[i] = load_pack<8>(begin + offset); });
        if (!has_other) return;
        const T* const begin_of_other = arguments.other + place.begin_of(row);
        place.for_each_pack<TileC>(
            row, [&](int i, int, int offset) { other[i] = load_pack<8>(begin_of_other + offset); });
      },
      [&](int row, const T* result) {
        // Loaded only now that the sums of the product have left their registers.
        Pack<T, 8> earlier[TileC::kPacksOfThread] = {};
        if (arguments.earlier != nullptr) {
          const T* const begin = arguments.earlier + place.begin_of(row);
          place.for_each_pack<TileC>(
              row, [&](int i, int, int offset) { earlier[i] = load_pack<8>(begin + offset); });
        }
        Pack<T, 8> da[TileC::kPacksOfThread] = {};
        place.for_each_pack<TileC>(row, [&](int i, int at, int) { da[i] = load_pack<8>(result + at); });
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          const GradientAffine<4> own = affine.at<4>(TileC::own_column() + 4 * part);
          place.for_each_pack<TileC>(row, [&](int i, int, int) {
            const Floats<4> added = part_to_floats<4>(other[i], part);
            const Floats<4> sent = part_to_floats<4>(earlier[i], part);
            Floats<4> dx =
                channels.result(own, part_to_floats<4>(da[i], part), part_to_floats<4>(x[i], part));
#pragma unroll
            for (int j = 0; j < 4; ++j) dx[j] += added[j] + sent[j];
            set_part(x[i], part, to_pack<T>(dx));  // in its place
          });
        }
        T* const begin = arguments.dx + place.begin_of(row);
        place.for_each_pack<TileC>(row, [&](int i, int, int offset) { store_pack<8>(begin + offset, x[i]); });
      });
}

}  // namespace

bool is_preactivation_pointwise(const Tensor& x, const PreactivationStage& stage,
                                std::initializer_list<Tensor> others) {
  const auto& [norm, weight, stride, padding] = stage;
  const bool is_pointwise = weight.shape(1) == 1 && weight.shape(2) == 1 && stride == 1 && padding == 0;
  const auto is_aligned = [](const Tensor& tensor) {
    return !tensor.defined() || reinterpret_cast<uintptr_t>(tensor.raw()) % 16 == 0;
  };
  return is_pointwise && (x.dtype() == Dtype::bf16 || x.dtype() == Dtype::f16) && x.size() > 0 &&
         x.size() / x.shape(3) <= kMostRows && x.shape(3) % 8 == 0 && weight.shape(0) % 8 == 0 &&
         std::max(x.shape(3), weight.shape(0)) <= kMostChannels && is_aligned(x) && is_aligned(weight) &&
         std::all_of(others.begin(), others.end(), is_aligned);
}

bool has_preactivation_pointwise_forward(const Tensor& x, const Tensor& weight) {
  const Extents extents(x, weight);
  size_t bytes = 0;
  visit_tile_columns<128>(extents.K, [&]<int kTileN>() {
    using Product = BlockProduct<bf16, kTileRows, kTileN, false>;
    bytes = TileSplits(extents.rows, extents.K, kTileN)
                .grid(Product::kShared, int64_t{SharedAffine::kArrays} * extents.C)
                .shared;
  });
  return has_shared_memory(bytes);
}

void preactivation_pointwise_forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual,
                                     Tensor& y, Tensor& mean, Tensor& variance) {
  constexpr const char* kOperation = "preactivation_conv_forward";
  const Tensor& weight = stage.weight;
  const NormConstants& norm = stage.norm;
  const Extents extents(x, weight);
  const int64_t rows = extents.rows, C = extents.C, K = extents.K;
  visit_16_bits(x.dtype(), [&]<class T>() {
    visit_tile_columns<128>(K, [&]<int kTileN>() {
      using Product = BlockProduct<T, kTileRows, kTileN, false>;
      const TileSplits splits(extents.rows, extents.K, kTileN);
      ChunkJoin join;
      if (mean.defined()) {
        join = ChunkJoin(kOperation, MomentJoin<1>::kResults, /*O=*/1, rows, K, splits.rows, splits.count,
                         splits.beside);
      }
      launch(kOperation, forward_kernel<T, kTileN>, splits.grid(Product::kShared, SharedAffine::kArrays * C),
             extents,
             Forward<T>{{x.data<T>(), Channels(norm, /*has_relu=*/true)},
                        {weight.data<T>()},
                        residual.defined() ? residual.data<T>() : nullptr,
                        y.data<T>(),
                        mean.defined() ? mean.data<float>() : nullptr,
                        mean.defined() ? variance.data<float>() : nullptr,
                        RunningMoments(norm, rows)},
             splits.rows, join.plan());
    });
  });
}

void preactivation_pointwise_input_gradient(const Tensor& gradient, const SavedPreactivation& saved,
                                            const PreactivationGradients& gradients, const Tensor& other,
                                            const Tensor& earlier, Tensor& dx) {
  const Tensor &x = saved.x, &weight = saved.stage.weight;
  const Extents extents(x, weight);
  visit_16_bits(x.dtype(), [&]<class T>() {
    visit_tile_columns<64>(extents.C, [&]<int kTileN>() {
      using Product = BlockProduct<T, kTileRows, kTileN, true>;
      const TileSplits splits(extents.rows, extents.C, kTileN);
      launch("preactivation_conv_backward: gradient of the input", input_gradient_kernel<T, kTileN>,
             splits.grid(Product::kShared, SharedGradientAffine::kArrays * kTileN), extents,
             InputGradient<T>{{gradient.data<T>()},
                              {weight.data<T>()},
                              x.data<T>(),
                              other.defined() ? other.data<T>() : nullptr,
                              earlier.defined() ? earlier.data<T>() : nullptr,
                              dx.data<T>(),
                              GradientChannels(saved.stage.norm, /*has_relu=*/true, extents.rows,
                                               gradients.norm_weight, gradients.norm_bias)},
             splits.rows);
    });
  });
}

}  // namespace fovea::kernels::cuda
