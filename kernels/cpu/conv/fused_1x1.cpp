#include "fovea/kernels/cpu/conv/fused.h"

#include <algorithm>
#include <optional>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv/choice.h"
#include "fovea/kernels/cpu/conv/prefetcher.h"
#include "fovea/kernels/cpu/conv/products_1x1.h"
#include "fovea/kernels/cpu/conv/storage.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/moments.h"
#include "fovea/kernels/cpu/rows.h"

// A thread takes a block of some rows of pixels, through everything: activate, multiply, add, sum up. While
// it multiplies it asks memory for the next block. So x and y (and their gradients) go through memory once,
// and beside the multiplications instead of after them.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_1x1 {
namespace {

constexpr int64_t kWidth = kLanes<float>;
constexpr AllLanes<float> kAll;

/// All rows of pixels, in units of kRowMultiple.
class RowChunks : public GroupedChunks {
 public:
  explicit RowChunks(int64_t rows) : GroupedChunks(rows / kRowMultiple, kRows / kRowMultiple) {}

  Interval rows(int64_t chunk) const {
    return {units(chunk).begin * kRowMultiple, units(chunk).end * kRowMultiple};
  }

 private:
  static constexpr int64_t kRows = 1024;  // of a chunk
};

/// Blocks of backward passes, which hold x and dy.
int64_t rows_of_backward_block(int64_t C, int64_t K) {
  return std::max<int64_t>(60, rows_of_block(std::max<int64_t>(64 << 10, C * K), C + K));
}

/// Adds the residual and stores y. Sums up its differences from the average of the first four rows of a
/// chunk, and their squares: `sums`, [3, K], if not null, has these sums and that average.
template <class T>
struct FinishForward {
  ResultRows<T> result;
  float* sums;
  bool begins;  // a chunk

  template <int Rows, int Panels, class Arithmetic>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column,
                                      RegisterTile<Rows, Panels, Arithmetic>& tile) const {
    result.add_residual(row, column, tile);
    if (sums != nullptr) {
      unroll<Panels>([&](auto s)
                         FOVEA_ALWAYS_INLINE { sum_up(tile, s, column + s * kWidth, begins && row == 0); });
    }
    result.put(row, column, tile);
  }

  template <int Rows, int Panels, class Arithmetic, class Panel>
  FOVEA_ALWAYS_INLINE void sum_up(const RegisterTile<Rows, Panels, Arithmetic>& tile, Panel s, int64_t c,
                                  bool is_first) const {
    const int64_t K = result.K;
    if (is_first) {
      store(sums + c, kAll, Vec<float>{});
      store(sums + K + c, kAll, Vec<float>{});
      static_assert(Rows >= 4);
      store(sums + 2 * K + c, kAll,
            0.25f * ((tile.sum[0][s] + tile.sum[1][s]) + (tile.sum[2][s] + tile.sum[3][s])));
    }
    // The rows of a tile first: one long sum would carry the error of as many roundings as rows.
    Vec<float> total{}, squares{};
    const Vec<float> origin = load(sums + 2 * K + c, kAll);
    unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
      const Vec<float> d = tile.sum[r][s] - origin;
      total += d;
      squares += d * d;
    });
    store(sums + c, kAll, load(sums + c, kAll) + total);
    store(sums + K + c, kAll, load(sums + K + c, kAll) + squares);
  }
};

/// Stores da, and sums up g and g * (x - mean), where g is da, or 0 where the relu was 0: `sums`, [2, C].
template <class T>
struct FinishBackward {
  int64_t C;
  const Affine<float>& affine;
  const T* x;
  StreamedOutput<T> da;
  float* sums;

  template <int Rows, int Panels, class Arithmetic>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column,
                                      const RegisterTile<Rows, Panels, Arithmetic>& tile) const {
    unroll<Panels>([&](auto s) FOVEA_ALWAYS_INLINE {
      const int64_t c = column + s * kWidth;
      const AffineVec<float> channels = affine.at(c, kAll);
      Vec<float> total{}, weighted{};  // of the tile's rows
      unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
        const auto [g, weighted_g] =
            channels.gradient_terms(load(x + (row + r) * C + c, kAll), tile.sum[r][s]);
        total += g;
        weighted += weighted_g;
      });
      store(sums + c, kAll, load(sums + c, kAll) + total);
      store(sums + C + c, kAll, load(sums + C + c, kAll) + weighted);
    });
    tile.for_each_by_rows([&, target = da](auto r, auto s) FOVEA_ALWAYS_INLINE {
      target.put((row + r) * C + column + s * kWidth, kAll, tile.sum[r][s]);
    });
  }
};

template <class T, class Arithmetic>
void forward_as(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
                Tensor& mean, Tensor& variance) {
  const int64_t C = stage.weight.shape(3), K = stage.weight.shape(0), depth = depth_of<Arithmetic>(C);
  const Affine<float> affine(stage.norm, /*fold=*/1);
  const RowChunks chunks(x.size() / C);
  const int64_t block_rows = rows_of_forward_block(C, K);
  const Tensor filters = packed_for_result<Arithmetic>(stage.weight, x.size() / C);
  Tensor sums = Tensor::empty({chunks.count(), 3, K});
  parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
    const T* const xs = x.data<T>();
    const T* const residuals = residual.defined() ? residual.data<T>() : nullptr;
    const int64_t end = chunks.rows(last - 1).end;
    Tensor a_block = Tensor::empty({block_rows * depth});
    float* const a = a_block.data<float>();
    Prefetcher prefetcher;
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Interval rows = chunks.rows(chunk);
      for (int64_t row = rows.begin; row < rows.end; row += block_rows) {
        const int64_t count = std::min(block_rows, rows.end - row), next_row = row + count,
                      next_count = std::min(block_rows, end - next_row);
        pack_activated(affine, count, xs + row * C, PanelsAlongRows<Arithmetic>{a, count});
        prefetcher.clear();
        prefetcher.add(xs + next_row * C, next_count * C);
        if (residuals != nullptr) prefetcher.add(residuals + next_row * K, next_count * K);
        prefetcher.spread(steps_of_multiply(count, depth, K));
        multiply<Arithmetic>(count, depth, K, a, filters.data<float>(), prefetcher,
                             FinishForward<T>{{K, residuals == nullptr ? nullptr : residuals + row * K,
                                               part_of<T>(y, row * K)},
                                              mean.defined() ? sums.data<float>() + chunk * 3 * K : nullptr,
                                              row == rows.begin});
      }
    }
    end_streaming();
  });
  if (!mean.defined()) return;
  finish_moments(chunks, K, mean, variance, [&](int64_t chunk, Moments& moments) {
    const float* part = sums.data<float>() + chunk * 3 * K;
    moments.add(chunks.rows(chunk).count(), part + 2 * K, part, part + K);
  });
}

/// What a thread needs to multiply blocks of the backward pass.
template <class ForWeight, class ForInput>
struct BackwardBlocks {
  BackwardBlocks(int64_t rows, int64_t C, int64_t K)
      : a(Tensor::empty({rows * depth_of<ForWeight>(C)})),
        gradient(Tensor::empty({rows * depth_of<ForInput>(K)})),
        pairs(is_dot<ForWeight> ? Tensor::empty({rows / 2 * K}) : Tensor()) {}

  /// dy, or, if there is a norm behind it, the gradient that it passes back.
  template <class T>
  void pack_gradient(const std::optional<BackwardAffine<float>>& back, int64_t rows, int64_t K, const T* dy,
                     const T* y) {
    const PanelsAlongRows<ForInput> along_rows{gradient.data<float>(), rows};
    if constexpr (is_dot<ForWeight>) {
      const RowPairPanels along_columns{pairs.data<float>(), rows};
      back ? pack_passed_back(*back, rows, dy, y, along_rows, along_columns)
           : pack(rows, K, dy, along_rows, along_columns);
    } else {
      back ? pack_passed_back(*back, rows, dy, y, along_rows) : pack(rows, K, dy, along_rows);
    }
  }

  template <class T>
  void pack_input(const Affine<float>& affine, int64_t rows, const T* x) {
    if constexpr (is_dot<ForWeight>) {
      pack_activated(affine, rows, x, RowPairPanels{a.data<float>(), rows});
    } else {
      pack_activated(affine, rows, x, FloatPanels{a.data<float>(), rows});
    }
  }

  /// Words along a sum over `rows`.
  int64_t depth(int64_t rows) const { return depth_of<ForWeight>(rows); }
  /// The packed gradient as the product for the weight reads it.
  const float* gradient_for_weight() const {
    const Tensor& factor = is_dot<ForWeight> ? pairs : gradient;
    return factor.data<float>();
  }

  Tensor a, gradient, pairs;
};

/// `ForWeight` and `ForInput`: what the products of the two gradients multiply.
template <class T, class ForWeight, class ForInput>
void backward_as(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
                 PreactivationGradients& gradients) {
  const PreactivationStage& stage = saved.stage;
  const Tensor& x = saved.x;
  const int64_t C = stage.weight.shape(3), K = stage.weight.shape(0), depth = depth_of<ForInput>(K);
  const Affine<float> affine(stage.norm, /*fold=*/1);
  std::optional<BackwardAffine<float>> back;
  if (next.y.defined()) back.emplace(next.norm, next.dweight, next.dbias, dy.size() / K, /*fold=*/1);
  const RowChunks chunks(x.size() / C);
  const int64_t block_rows = rows_of_backward_block(C, K);
  const Tensor filters = packed_for_input<ForInput>(stage.weight);
  Tensor sums = Tensor::zeros({chunks.count(), 2, C}), partials = Tensor::empty({chunks.groups(), K * C});
  parallel_for(chunks.groups(), 1, [&](int64_t first, int64_t last) {
    const T* const xs = x.data<T>();
    const T* const dys = dy.data<T>();
    const T* const ys = back ? next.y.data<T>() : nullptr;
    const int64_t end = chunks.rows(last * chunks.per_group() - 1).end;
    BackwardBlocks<ForWeight, ForInput> blocks(block_rows, C, K);
    Prefetcher prefetcher;
    for (int64_t chunk = first * chunks.per_group(); chunk < last * chunks.per_group(); ++chunk) {
      const Interval rows = chunks.rows(chunk);
      const int64_t group = chunk / chunks.per_group();
      for (int64_t row = rows.begin; row < rows.end; row += block_rows) {
        const int64_t count = std::min(block_rows, rows.end - row), next_row = row + count,
                      next_count = std::min(block_rows, end - next_row);
        blocks.pack_gradient(back, count, K, dys + row * K, back ? ys + row * K : nullptr);
        blocks.pack_input(affine, count, xs + row * C);
        prefetcher.clear();
        prefetcher.add(dys + next_row * K, next_count * K);
        if (back) prefetcher.add(ys + next_row * K, next_count * K);
        prefetcher.add(xs + next_row * C, next_count * C);
        prefetcher.spread(steps_of_multiply_transposed(K, blocks.depth(count), C) +
                          steps_of_multiply(count, depth, C));
        const bool begins = chunk % chunks.per_group() == 0 && row == rows.begin;
        multiply_transposed<ForWeight>(K, blocks.depth(count), C, blocks.gradient_for_weight(),
                                       blocks.a.template data<float>(),
                                       partials.data<float>() + group * K * C, /*add=*/!begins, prefetcher);
        multiply<ForInput>(count, depth, C, blocks.gradient.template data<float>(), filters.data<float>(),
                           prefetcher,
                           FinishBackward<T>{C, affine, xs + row * C, part_of<T>(da, row * C),
                                             sums.data<float>() + chunk * 2 * C});
      }
    }
    end_streaming();
  });
  Tensor dfilters_in_panels = Tensor::empty({K * C});
  add_groups(chunks.groups(), K * C, partials.data<float>(), dfilters_in_panels.data<float>());
  compute_in_f32(gradients.weight, [&](Tensor& dweight) {
    unpack(K, C, dfilters_in_panels.data<float>(), dweight.data<float>());
  });
  finish_reduce(sums_of_groups(chunks, sums.data<float>(), 2 * C), affine, gradients.norm_weight,
                gradients.norm_bias);
}

}  // namespace

void forward(const Tensor& x, const PreactivationStage& stage, const Tensor& residual, Tensor& y,
             Tensor& mean, Tensor& variance) {
  if (x.dtype() == Dtype::f32) {
    return forward_as<float, MultiplyAdd>(x, stage, residual, y, mean, variance);
  }
  multiplies_pairs(ConvPass::forward, problem_of(x.shape(), stage), x.dtype())
      ? forward_as<bf16, DotProduct>(x, stage, residual, y, mean, variance)
      : forward_as<bf16, MultiplyAdd>(x, stage, residual, y, mean, variance);
}

void backward(const Tensor& dy, const NextNorm& next, const SavedPreactivation& saved, Tensor& da,
              PreactivationGradients& gradients) {
  if (dy.dtype() == Dtype::f32) {
    return backward_as<float, MultiplyAdd, MultiplyAdd>(dy, next, saved, da, gradients);
  }
  const ConvProblem problem = problem_of(saved.x.shape(), saved.stage);
  if (!multiplies_pairs(ConvPass::backward_weight, problem, dy.dtype())) {
    return backward_as<bf16, MultiplyAdd, MultiplyAdd>(dy, next, saved, da, gradients);
  }
  multiplies_pairs(ConvPass::backward_input, problem, dy.dtype())
      ? backward_as<bf16, DotProduct, DotProduct>(dy, next, saved, da, gradients)
      : backward_as<bf16, DotProduct, MultiplyAdd>(dy, next, saved, da, gradients);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::fused_1x1
