#include <algorithm>

#include "fovea/kernels/cuda/async_copy.h"
#include "fovea/kernels/cuda/column_sums.h"
#include "fovea/kernels/cuda/conv/fused_1x1.h"
#include "fovea/kernels/cuda/conv/fused_1x1_readers.h"

// Backward, a block takes a run of rows and some channels of x, and computes from one read of dy and x what
// both gradients need: tiles of rows stream through shared memory, the weights' gradient stays in registers.
namespace fovea::kernels::cuda {
namespace {

constexpr const char* kOperation = "preactivation_conv_backward";
// Channels of y for which a block has room, where dy comes from behind a norm, and where it does not.
constexpr int kMostPassedChannels = 256, kMostPlainChannels = 512;

// Shared memory of a multiprocessor for which code is made (CUDA C++ Programming Guide, "Technical
// Specifications per Compute Capability").
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr bool kIsEarly = true;
constexpr size_t kSharedMemory = 64 * 1024;
#else
constexpr bool kIsEarly = false;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr size_t kSharedMemory = 164 * 1024;
#else
constexpr size_t kSharedMemory = 228 * 1024;
#endif
#endif

/// What is wanted of the backward pass. The pointers to results are null where nobody wants them.
template <class T>
struct Backward {
  const T* weight;        // [K, C]
  const T *dy, *y, *x;    // [rows, K] twice, [rows, C]; y: what dy is passed back through, or null
  T *kept, *da;           // [rows, K]: the gradient passed back; [rows, C]
  GradientChannels of_y;  // of the norm behind y
  Channels of_x;
  float *dweight, *dbias;  // [C]
  float* partial;          // of dfilters: [splits, K, C]
  int split_rows;
};

/// How the tiles of a block lie in shared memory, in elements of 16 bits; kK channels of y, kC of x.
template <class T, int kK, int kC, bool kIsPassed>
struct BackwardTiles {
  // Blocks that are wanted on a multiprocessor: one where a split has so many sums that to write and read
  // them would cost more than a second block gains. It may have twice the registers.
  static constexpr int kWantedBlocks = kK * kC >= 16384 ? 1 : 2;
  static constexpr int kRows = kK <= 64 || kWantedBlocks == 1 ? 64 : 32;  // of a tile
  // How many rows of da are multiplied at once: as many as there are registers for.
  static constexpr int kProductRows = kC >= 128 && kWantedBlocks > 1 ? 32 : kRows;
  using Gradient = SharedTile<kRows, kK>;
  using Input = SharedTile<kRows, kC>;
  using ProductOfInput = TileProduct<T, kProductRows, kC, kK, /*kADown=*/false, /*kBDown=*/true>;
  using ProductOfWeight = TileProduct<T, kK, kC, kRows, /*kADown=*/true, /*kBDown=*/true>;
  using Weight = typename ProductOfInput::TileB;

  static constexpr int kY = Gradient::kSize, kX = kIsPassed ? 2 * kY : kY;  // in a stage, after dy
  static constexpr int kStage = kX + Input::kSize;
  static constexpr int kActivated = Weight::kSize, kStages = kActivated + Input::kSize;
  static constexpr int kConstants = kStages + 2 * kStage;
  static constexpr int kFloats =
      SharedAffine::kArrays * kC + (kIsPassed ? SharedGradientAffine::kArrays * kK : 0);
  static constexpr size_t kBytes = 2 * size_t{kConstants} + sizeof(float) * kFloats;
  // Blocks that there can be: its shared memory may have no room for two.
  static constexpr int kBlocks = 2 * (kBytes + kBesideBytes) <= kSharedMemory ? kWantedBlocks : 1;
  // Whether there is no room for one, so that this code is never launched.
  static constexpr bool kHasNoRoom = kIsEarly && kBytes + kBesideBytes > kSharedMemory;
};

/// Copies a tile of a row-major matrix, [rows, columns], from (row, column) on; zeros beyond.
template <class Tile, class T>
__device__ inline void copy_tile(AsyncCopies& copies, T* to, const T* from, int rows, int columns, int row,
                                 int column) {
  const T* place = from + int64_t{row + Tile::own_row()} * columns + column + Tile::own_column();
  Tile::for_each_pack([&](int, int r, int c) {
    const bool is_there = row + r < rows && column + c < columns;
    copies.copy(to + r * Tile::kStride + c, is_there ? place : from, is_there);
    place += Tile::kRowsBetween * columns;
  });
}

/// Sums of g and g * (x - mean) over the rows that a thread has of its columns.
template <class Product>
struct ColumnPairSums {
  float of_g[Product::kBlocksN][2] = {}, of_centred[Product::kBlocksN][2] = {};

  /// da, whose x begins at `x` in shared memory; g is da, or 0 where the relu was 0.
  template <class T>
  __device__ void add(const Product& da, const SharedAffine& affine, const Channels& channels, const T* x,
                      int stride) {
    Affine<2> own{};
    da.for_each_pair([&](int n, int r, int c, float first, float second) {
      if (r == Product::row_of(0, 0)) own = affine.at<2>(c);
      const Floats<2> numbers = load<2>(x + r * stride + c);
      const float of_pair[2] = {first, second};
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float centred = numbers[j] - own.mean[j];
        const float g = channels.passed(of_pair[j], centred, own.scale[j], own.shift[j]);
        of_g[n][j] += g;
        of_centred[n][j] += g * centred;
      }
    });
  }

  /// Leaves the sums over all rows of a tile of kC columns in the first kC threads. `shared` has room for
  /// kWarpsM * 2 * kC numbers, and nobody reads it.
  template <int kC>
  __device__ void add_up(float* shared, Floats<1> (&total)[2]) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize;
    const int own_rows = Product::warp() / Product::kWarpsN;
#pragma unroll
    for (int n = 0; n < Product::kBlocksN; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float g = of_g[n][j], centred = of_centred[n][j];
#pragma unroll
        for (int step = 4; step < kWarpSize; step *= 2) {
          g += __shfl_xor_sync(kAllLanes, g, step);
          centred += __shfl_xor_sync(kAllLanes, centred, step);
        }
        if (lane < 4 && Product::has_part()) {
          float* const place = shared + own_rows * 2 * kC + Product::column_of(n) + j;
          place[0] = g;
          place[kC] = centred;
        }
      }
    }
    __syncthreads();
    if (thread >= kC) return;
    for (int s = 0; s < 2; ++s) {
      total[s][0] = 0;
      for (int m = 0; m < Product::kWarpsM; ++m) total[s][0] += shared[(2 * m + s) * kC + thread];
    }
  }
};

/// Both gradients. A block takes a split of the rows, in tiles, and kC channels of x: reads dy, y and x once,
/// the weights once a block, writes da and the gradient passed back once. While a tile is multiplied, the
/// next is on its way. The last block of a column of tiles joins the sums for dweight and dbias.
template <class T, int kK, int kC, bool kIsPassed>
__global__ void __launch_bounds__(kProductThreads, BackwardTiles<T, kK, kC, kIsPassed>::kBlocks)
    backward_kernel(Extents extents, Backward<T> arguments, ChunkJoin::Plan plan) {
  using Tiles = BackwardTiles<T, kK, kC, kIsPassed>;
  using Gradient = typename Tiles::Gradient;
  using Input = typename Tiles::Input;
  if constexpr (Tiles::kHasNoRoom) stop_kernel();
  FOVEA_DYNAMIC_SHARED(memory, Tiles::kBytes);
  T* const shared = reinterpret_cast<T*>(memory);
  float* const constants_of_x = reinterpret_cast<float*>(shared + Tiles::kConstants);
  float* const constants_of_y = constants_of_x + SharedAffine::kArrays * kC;
  const auto [rows, C, K] = extents;
  const int beside = tiles_of(C, kC), block = static_cast<int>(blockIdx.x);
  const int split = block / beside, column = block % beside * kC;
  const int begin = split * arguments.split_rows;
  const int end = rows - begin > arguments.split_rows ? begin + arguments.split_rows : rows;
  const int tiles = tiles_of(end - begin, Tiles::kRows);
  const auto stage_of = [&](int tile) { return shared + Tiles::kStages + tile % 2 * Tiles::kStage; };

  AsyncCopies copies;
  const auto fetch = [&](int tile) {
    T* const stage = stage_of(tile);
    const int row = begin + tile * Tiles::kRows;
    copy_tile<Gradient>(copies, stage, arguments.dy, end, K, row, 0);
    if constexpr (kIsPassed) copy_tile<Gradient>(copies, stage + Tiles::kY, arguments.y, end, K, row, 0);
    copy_tile<Input>(copies, stage + Tiles::kX, arguments.x, end, C, row, column);
  };
  copy_tile<typename Tiles::Weight>(copies, shared, arguments.weight, K, C, 0, column);
  fetch(0);
  copies.commit();
  SharedAffine::fill(constants_of_x, kC, arguments.of_x, column, C);
  if constexpr (kIsPassed) SharedGradientAffine::fill(constants_of_y, kK, arguments.of_y, 0, K);
  __syncthreads();
  const SharedAffine of_x{constants_of_x, kC};
  const SharedGradientAffine of_y{constants_of_y, kK};
  const Channels channels_of_x = arguments.of_x.with_relu();
  const GradientChannels channels_of_y = arguments.of_y.with_relu();

  // A block that is alone has registers to keep those of the columns of this thread's packs.
  constexpr bool kKeepsConstants = Tiles::kWantedBlocks == 1;
  Affine<4> kept_of_x[2] = {};
  if constexpr (kKeepsConstants) {
    for (int part = 0; part < 2; ++part) kept_of_x[part] = of_x.at<4>(Input::own_column() + 4 * part);
  }

  typename Tiles::ProductOfWeight dfilters;
  dfilters.clear();
  using ProductOfInput = typename Tiles::ProductOfInput;
  ColumnPairSums<ProductOfInput> sums;
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    const int row = begin + tile * Tiles::kRows;
    T* const gradient = stage_of(tile);
    T* const x = gradient + Tiles::kX;
    T* const activated = shared + Tiles::kActivated;
    copies.wait<0>();
    // What this thread has copied itself needs no barrier yet.
    if constexpr (kIsPassed) {
      Pack<T, 8> dy[Gradient::kPacksOfThread] = {}, y[Gradient::kPacksOfThread] = {};
      Gradient::for_each_pack([&](int i, int r, int k) {
        T* const place = gradient + r * Gradient::kStride + k;
        dy[i] = load_pack<8>(place);
        y[i] = load_pack<8>(place + Tiles::kY);
      });
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const GradientAffine<4> own = of_y.at<4>(Gradient::own_column() + 4 * part);
        Gradient::for_each_pack([&](int i, int r, int k) {
          if (row + r >= end || k >= K) return;
          set_part(dy[i], part,
                   to_pack<T>(channels_of_y.result(own, part_to_floats<4>(dy[i], part),
                                                   part_to_floats<4>(y[i], part))));
        });
      }
      Gradient::for_each_pack([&](int i, int r, int k) {
        store_pack<8>(gradient + r * Gradient::kStride + k, dy[i]);
        if (arguments.kept == nullptr || column != 0 || row + r >= end || k >= K) return;
        store_pack<8>(arguments.kept + int64_t{row + r} * K + k, dy[i]);
      });
    }
    Pack<T, 8> a[Input::kPacksOfThread] = {};
    Input::for_each_pack([&](int i, int r, int c) { a[i] = load_pack<8>(x + r * Input::kStride + c); });
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const Affine<4> own = kKeepsConstants ? kept_of_x[part] : of_x.at<4>(Input::own_column() + 4 * part);
      Input::for_each_pack([&](int i, int r, int) {
        // Beyond, it is 0 of x as it was copied, of which norm makes something else.
        set_part(a[i], part,
                 row + r < end ? to_pack<T>(channels_of_x.result(own, part_to_floats<4>(a[i], part)))
                               : Pack<T, 4>{});
      });
    }
    Input::for_each_pack(
        [&](int i, int r, int c) { store_pack<8>(activated + r * Input::kStride + c, a[i]); });
    __syncthreads();
    if (tile + 1 < tiles) fetch(tile + 1);
    copies.commit();

    dfilters.add(gradient, activated);
#pragma unroll 1
    for (int r = 0; r < Tiles::kRows; r += Tiles::kProductRows) {
      ProductOfInput da;
      da.clear();
      da.add(gradient + r * Gradient::kStride, shared);
      sums.add(da, of_x, channels_of_x, x + r * Input::kStride, Input::kStride);
      // In place of x: each number was read last by the thread that writes there.
      if (arguments.da != nullptr) da.store_rounded(x + r * Input::kStride);
    }
    __syncthreads();
    if (arguments.da != nullptr) {
      Input::for_each_pack([&](int, int r, int c) {
        if (row + r >= end || column + c >= C) return;
        store_pack<8>(arguments.da + int64_t{row + r} * C + column + c,
                      load_pack<8>(x + r * Input::kStride + c));
      });
    }
  }

  float* const filters = arguments.partial + int64_t{split} * K * C;
  dfilters.for_each_pair([&](int, int k, int c, float first, float second) {
    if (k < K && column + c < C) store<2>(filters + int64_t{k} * C + column + c, Floats<2>{{first, second}});
  });
  Floats<1> results[2];
  sums.template add_up<kC>(reinterpret_cast<float*>(shared), results);
  const int thread = static_cast<int>(threadIdx.x), c = column + thread % kC;
  const JoinPlace place{.has_column = c < C,
                        .o = 0,
                        .i = c,
                        .slice = column / kC,
                        .chunk = split,
                        .row = thread / kC,
                        .down = kProductThreads / kC,
                        .stride = kC};
  if (!join_chunks<SumJoin<1, 2>, kProductThreads, 1>(plan, place, results)) return;
  if (thread >= kC || c >= C) return;
  arguments.dbias[c] = results[0][0];
  arguments.dweight[c] = results[1][0] * arguments.of_x.template rstd<1>(c)[0];
}

/// dfilters = the sums over the splits of `partial`.
template <class T>
void join_filters(const Tensor& partial, const Extents& extents, Tensor& dfilters) {
  sum_columns(kOperation, partial.data<float>(), /*O=*/1, partial.shape(0), int64_t{extents.K} * extents.C,
              /*factor=*/1.0f, dfilters.data<T>());
}

template <class T, int kK, int kC, bool kIsPassed>
void backward(const Extents& extents, Backward<T> arguments, Tensor& dfilters) {
  using Tiles = BackwardTiles<T, kK, kC, kIsPassed>;
  const int64_t rows = extents.rows, C = extents.C, beside = tiles_of(extents.C, kC);
  constexpr int64_t kLeastRows = 512;  // of a split: its sums are written and read again
  const RowSplits splits(rows, Tiles::kRows, beside, Tiles::kWantedBlocks, kLeastRows, /*most=*/rows);
  Tensor partial = Tensor::empty({splits.count, int64_t{extents.K} * C}, Dtype::f32, dfilters.device());
  arguments.partial = partial.data<float>();
  arguments.split_rows = splits.rows;
  ChunkJoin join(kOperation, /*results=*/2, /*O=*/1, rows, C, splits.rows, splits.count, beside);
  const Grid grid{dim3(static_cast<unsigned>(splits.count * beside)), dim3(kProductThreads), Tiles::kBytes};
  launch(kOperation, backward_kernel<T, kK, kC, kIsPassed>, grid, extents, arguments, join.plan());
  join_filters<T>(partial, extents, dfilters);
}

/// Calls body.template operator()<kK, kC>() with tiles for the extents.
template <bool kIsPassed, class Body>
void visit_backward_tiles(const Extents& extents, Body&& body) {
  const auto [rows, C, K] = extents;
  if (K <= 32 && C <= 64) {
    body.template operator()<32, 64>();
  } else if (K <= 32) {
    body.template operator()<32, 128>();
  } else if (K <= 64 && C <= 32) {
    body.template operator()<64, 32>();
  } else if (K <= 64 && C <= 64) {
    body.template operator()<64, 64>();
  } else if (K <= 64) {
    body.template operator()<64, 128>();
  } else if (K <= 128 && C <= 32) {
    body.template operator()<128, 32>();
  } else if (K <= 128) {
    body.template operator()<128, 128>();
  } else if constexpr (kIsPassed) {
    body.template operator()<kMostPassedChannels, 64>();
  } else if (K <= 256) {
    body.template operator()<256, 64>();
  } else {
    body.template operator()<kMostPlainChannels, 32>();
  }
}

}  // namespace

bool has_preactivation_pointwise_backward(const Tensor& x, const Tensor& weight, const NextNorm& next) {
  const Extents extents(x, weight);
  const bool is_passed = next.y.defined();
  if (extents.K > (is_passed ? kMostPassedChannels : kMostPlainChannels)) return false;
  size_t bytes = 0;
  if (is_passed) {
    visit_backward_tiles<true>(extents,
                               [&]<int kK, int kC>() { bytes = BackwardTiles<bf16, kK, kC, true>::kBytes; });
  } else {
    visit_backward_tiles<false>(
        extents, [&]<int kK, int kC>() { bytes = BackwardTiles<bf16, kK, kC, false>::kBytes; });
  }
  return has_shared_memory(bytes);
}

void preactivation_pointwise_backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved,
                                      Tensor& kept, Tensor& da, PreactivationGradients& gradients) {
  const Tensor &x = saved.x, &weight = saved.stage.weight;
  const NormConstants& norm = saved.stage.norm;
  auto& [dfilters, dweight, dbias] = gradients;
  const Extents extents(x, weight);
  visit_16_bits(x.dtype(), [&]<class T>() {
    const bool is_passed = next.y.defined();
    const Backward<T> arguments{
        weight.data<T>(),
        dy.data<T>(),
        is_passed ? next.y.data<T>() : nullptr,
        x.data<T>(),
        kept.defined() ? kept.data<T>() : nullptr,
        da.defined() ? da.data<T>() : nullptr,
        is_passed ? GradientChannels(next.norm, /*has_relu=*/true, extents.rows, next.dweight, next.dbias)
                  : GradientChannels(norm, /*has_relu=*/true, extents.rows, dweight, dbias),  // not looked at
        Channels(norm, /*has_relu=*/true),
        dweight.data<float>(),
        dbias.data<float>(),
        /*partial=*/nullptr,
        /*split_rows=*/0};
    const auto run = [&]<int kK, int kC, bool kIsPassed>() {
      backward<T, kK, kC, kIsPassed>(extents, arguments, dfilters);
    };
    if (is_passed) {
      visit_backward_tiles<true>(extents, [&]<int kK, int kC>() { run.template operator()<kK, kC, true>(); });
    } else {
      visit_backward_tiles<false>(extents,
                                  [&]<int kK, int kC>() { run.template operator()<kK, kC, false>(); });
    }
  });
}

}  // namespace fovea::kernels::cuda
