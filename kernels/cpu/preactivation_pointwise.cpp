#include "fovea/kernels/cpu/preactivation_pointwise.h"

#include <algorithm>
#include <optional>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/affine.h"
#include "fovea/kernels/cpu/ahead.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv_problem.h"
#include "fovea/kernels/cpu/moments.h"
#include "fovea/kernels/cpu/rows.h"
#include "fovea/kernels/cpu/strips.h"
#include "fovea/kernels/cpu/target.h"
#include "fovea/kernels/cpu/transpose.h"

// A thread takes a panel, some rows of pixels, through everything: activate, multiply, add, sum up. While it
// multiplies it asks memory for the next panel. So x and y (and their gradients) go through memory once, and
// beside the multiplications instead of after them.
namespace fovea::kernels::cpu::pointwise {
namespace {

constexpr int64_t kWidth = kLanes<float>;
constexpr AllLanes<float> kAll;

/// All rows of pixels, cut into groups of chunks by their number alone.
class Chunks {
 public:
  explicit Chunks(int64_t rows)
      : units_(rows / kStripRows),
        groups_(std::min(kGroups, units_)),
        per_group_(std::max<int64_t>(1, rows / (groups_ * kRows))) {}

  int64_t count() const { return groups_ * per_group_; }
  int64_t groups() const { return groups_; }
  int64_t per_group() const { return per_group_; }
  Range rows(int64_t chunk) const {
    return {units_ * chunk / count() * kStripRows, units_ * (chunk + 1) / count() * kStripRows};
  }

 private:
  static constexpr int64_t kRows = 1024;  // of a chunk, or more, where all groups have as many
  int64_t units_, groups_, per_group_;
};

/// Rows of a panel: an odd multiple of 12, so that its strips do not fall on the same lines of the cache.
int64_t rows_of_panel(int64_t bytes, int64_t floats_per_row) {
  const int64_t rows = bytes / (floats_per_row * static_cast<int64_t>(sizeof(float)));
  return std::max<int64_t>(rows - 12, 0) / 24 * 24 + 12;
}

/// Panels of forward and backward passes (measured: half and twice as many rows take 1.0 to 1.1 of the time).
/// Where the filters are large so is a panel, because they are read once for each.
int64_t rows_of_forward_panel(int64_t C, int64_t K) {
  return rows_of_panel(std::max<int64_t>(24 << 10, C * K / 2), C);
}
int64_t rows_of_backward_panel(int64_t C, int64_t K) {
  return std::max<int64_t>(60, rows_of_panel(std::max<int64_t>(64 << 10, C * K), C + K));
}

/// Adds the residual, if not null, and stores y. Sums up its differences from the average of the first four
/// rows of a chunk, and their squares: `sums`, [3, K], if not null, has these sums and that average.
struct FinishForward {
  int64_t K;
  const float* residual;
  Target y;
  float* sums;
  bool begins;  // a chunk

  template <int Rows, int Strips>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column, Block<Rows, Strips>& block) const {
    const int64_t at = row * K + column;
    if (residual != nullptr) {
      block.for_each([&](auto r, auto s) FOVEA_ALWAYS_INLINE {
        block.sum[r][s] += load(residual + at + r * K + s * kWidth, kAll);
      });
    }
    if (sums != nullptr) {
      unroll<Strips>([&](auto s)
                         FOVEA_ALWAYS_INLINE { sum_up(block, s, column + s * kWidth, begins && row == 0); });
    }
    block.for_each([&, target = y](auto r, auto s)
                       FOVEA_ALWAYS_INLINE { target.put(at + r * K + s * kWidth, kAll, block.sum[r][s]); });
  }

  template <int Rows, int Strips, class Strip>
  FOVEA_ALWAYS_INLINE void sum_up(const Block<Rows, Strips>& block, Strip s, int64_t c, bool is_first) const {
    if (is_first) {
      store(sums + c, kAll, Vec<float>{});
      store(sums + K + c, kAll, Vec<float>{});
      static_assert(Rows >= 4);
      store(sums + 2 * K + c, kAll,
            0.25f * ((block.sum[0][s] + block.sum[1][s]) + (block.sum[2][s] + block.sum[3][s])));
    }
    // The rows of a block first: one long sum would carry the error of as many roundings as rows.
    Vec<float> total{}, squares{};
    const Vec<float> origin = load(sums + 2 * K + c, kAll);
    unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
      const Vec<float> d = block.sum[r][s] - origin;
      total += d;
      squares += d * d;
    });
    store(sums + c, kAll, load(sums + c, kAll) + total);
    store(sums + K + c, kAll, load(sums + K + c, kAll) + squares);
  }
};

/// Stores da, and sums up g and g * (x - mean), where g is da, or 0 where the relu was 0: `sums`, [2, C].
struct FinishBackward {
  int64_t C;
  const Affine<float>& affine;
  const float* x;
  Target da;
  float* sums;

  template <int Rows, int Strips>
  FOVEA_ALWAYS_INLINE void operator()(int64_t row, int64_t column, const Block<Rows, Strips>& block) const {
    unroll<Strips>([&](auto s) FOVEA_ALWAYS_INLINE {
      const int64_t c = column + s * kWidth;
      const AffineVec<float> channels = affine.at(c, kAll);
      Vec<float> total{}, weighted{};  // of the block's rows
      unroll<Rows>([&](auto r) FOVEA_ALWAYS_INLINE {
        const auto [g, weighted_g] =
            channels.gradient_terms(load(x + (row + r) * C + c, kAll), block.sum[r][s]);
        total += g;
        weighted += weighted_g;
      });
      store(sums + c, kAll, load(sums + c, kAll) + total);
      store(sums + C + c, kAll, load(sums + C + c, kAll) + weighted);
    });
    block.for_each([&, target = da](auto r, auto s) FOVEA_ALWAYS_INLINE {
      target.put((row + r) * C + column + s * kWidth, kAll, block.sum[r][s]);
    });
  }
};

/// w^T [C, K] in strips.
Tensor transposed_in_strips(const Tensor& weight) {
  const int64_t K = weight.shape(0), C = weight.shape(3);
  Tensor result = Tensor::empty({K * C});
  const float* from = weight.data<float>();
  float* to = result.data<float>();
  parallel_for_rows(K / kWidth, kWidth * C, [=](int64_t strip) {
    const int64_t k = strip * kWidth;
    for (int64_t c = 0; c < C; c += kWidth) {
      store_rows(transpose(load_rows(from + k * C + c, C)), to + k * C + c * kWidth, kWidth);
    }
  });
  return result;
}

/// Between matrices row by row and in strips.
void to_strips(int64_t rows, int64_t columns, const float* from, float* to) {
  parallel_for_rows(rows, columns, [=](int64_t row) {
    for (int64_t c = 0; c < columns; c += kWidth) {
      store(to + c * rows + row * kWidth, kAll, load(from + row * columns + c, kAll));
    }
  });
}
void from_strips(int64_t rows, int64_t columns, const float* from, float* to) {
  parallel_for_rows(rows, columns, [=](int64_t row) {
    for (int64_t c = 0; c < columns; c += kWidth) {
      store(to + row * columns + c, kAll, load(from + c * rows + row * kWidth, kAll));
    }
  });
}

/// relu(norm(x)) in strips; `rows` is a multiple of kStripRows, here and below.
void activate_to_strips(const Affine<float>& affine, int64_t rows, const float* x, float* to) {
  const auto C = static_cast<int64_t>(affine.mean.size());
  for (int64_t first = 0; first < rows; first += kStripRows, x += kStripRows * C) {
    affine.activate_rows(x, kStripRows, [=](int64_t row, int64_t c, Vec<float> value) {
      store(to + c * rows + (first + row) * kWidth, kAll, value);
    });
  }
}

/// The gradient of y from that of relu(norm(y)), in strips.
void pass_back_to_strips(const BackwardAffine<float>& affine, int64_t rows, const float* dy, const float* y,
                         float* to) {
  const auto K = static_cast<int64_t>(affine.mean.size());
  for (int64_t first = 0; first < rows; first += kStripRows, dy += kStripRows * K, y += kStripRows * K) {
    affine.for_rows(kStripRows, /*has_relu=*/true,
                    [=](int64_t row, int64_t k, auto lanes, const auto& gradient) {
                      const int64_t i = row * K + k;
                      store(to + k * rows + (first + row) * kWidth, lanes,
                            gradient(load(dy + i, lanes), load(y + i, lanes)));
                    });
  }
}

}  // namespace

bool suits(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  const ConvProblem problem(x.shape(), weight.shape(), stride, padding);
  return kWidth >= 8 && x.dtype() == Dtype::f32 && x.size() > 0 && problem.is_pointwise() &&
         problem.C % kWidth == 0 && problem.K % kWidth == 0 && problem.H * problem.W % kStripRows == 0;
}

void preactivation_conv_forward(const Tensor& x, const Normalisation& norm, const Tensor& weight,
                                const Tensor& residual, Tensor& y, Tensor& mean, Tensor& variance) {
  const int64_t C = weight.shape(3), K = weight.shape(0);
  const Affine<float> affine(norm, /*fold=*/1);
  const Chunks chunks(x.size() / C);
  const int64_t panel_rows = rows_of_forward_panel(C, K);
  add_multiply_adds(y.size() * C);
  const Tensor filters = transposed_in_strips(weight);
  Tensor sums = Tensor::empty({chunks.count(), 3, K});
  parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
    const float* const xs = x.data<float>();
    const float* const residuals = residual.defined() ? residual.data<float>() : nullptr;
    const int64_t end = chunks.rows(last - 1).end;
    Tensor a_panel = Tensor::empty({panel_rows * C});
    float* const a = a_panel.data<float>();
    Ahead ahead;
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Range rows = chunks.rows(chunk);
      for (int64_t row = rows.begin; row < rows.end; row += panel_rows) {
        const int64_t count = std::min(panel_rows, rows.end - row), next_row = row + count,
                      next_count = std::min(panel_rows, end - next_row);
        activate_to_strips(affine, count, xs + row * C, a);
        ahead.clear();
        ahead.add(xs + next_row * C, next_count * C);
        if (residuals != nullptr) ahead.add(residuals + next_row * K, next_count * K);
        ahead.spread(steps_of_multiply(count, C, K));
        multiply(
            count, C, K, a, filters.data<float>(), ahead,
            FinishForward{K, residuals == nullptr ? nullptr : residuals + row * K, part_of(y, row * K),
                          mean.defined() ? sums.data<float>() + chunk * 3 * K : nullptr, row == rows.begin});
      }
    }
    end_streaming();
  });
  if (!mean.defined()) return;
  Moments moments(K);
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const float* part = sums.data<float>() + chunk * 3 * K;
    moments.add(chunks.rows(chunk).count(), part + 2 * K, part, part + K);
  }
  moments.finish<float>(mean, variance);
}

void preactivation_conv_backward(const Tensor& dy, const NextNormalisation& next, const Tensor& x,
                                 const Normalisation& norm, const Tensor& weight, Tensor& da,
                                 Tensor& dfilters, Tensor& dweight, Tensor& dbias) {
  const int64_t C = weight.shape(3), K = weight.shape(0);
  const Affine<float> affine(norm, /*fold=*/1);
  std::optional<BackwardAffine<float>> back;
  if (next.y.defined()) back.emplace(next.norm, next.dweight, next.dbias, dy.size() / K, /*fold=*/1);
  const Chunks chunks(x.size() / C);
  const int64_t panel_rows = rows_of_backward_panel(C, K);
  add_multiply_adds(2 * dy.size() * C);
  Tensor filters = Tensor::empty({K * C}), sums = Tensor::zeros({chunks.count(), 2, C}),
         partials = Tensor::empty({chunks.groups(), K * C});
  to_strips(K, C, weight.data<float>(), filters.data<float>());
  parallel_for(chunks.groups(), 1, [&](int64_t first, int64_t last) {
    const float* const xs = x.data<float>();
    const float* const dys = dy.data<float>();
    const float* const ys = back ? next.y.data<float>() : nullptr;
    const int64_t end = chunks.rows(last * chunks.per_group() - 1).end;
    Tensor a_panel = Tensor::empty({panel_rows * C}), dy_panel = Tensor::empty({panel_rows * K});
    float *const a = a_panel.data<float>(), *const gradient = dy_panel.data<float>();
    Ahead ahead;
    for (int64_t chunk = first * chunks.per_group(); chunk < last * chunks.per_group(); ++chunk) {
      const Range rows = chunks.rows(chunk);
      const int64_t group = chunk / chunks.per_group();
      for (int64_t row = rows.begin; row < rows.end; row += panel_rows) {
        const int64_t count = std::min(panel_rows, rows.end - row), next_row = row + count,
                      next_count = std::min(panel_rows, end - next_row);
        if (back) {
          pass_back_to_strips(*back, count, dys + row * K, ys + row * K, gradient);
        } else {
          to_strips(count, K, dys + row * K, gradient);
        }
        activate_to_strips(affine, count, xs + row * C, a);
        ahead.clear();
        ahead.add(dys + next_row * K, next_count * K);
        if (back) ahead.add(ys + next_row * K, next_count * K);
        ahead.add(xs + next_row * C, next_count * C);
        ahead.spread(steps_of_multiply_transposed(K, count, C) + steps_of_multiply(count, K, C));
        const bool begins = chunk % chunks.per_group() == 0 && row == rows.begin;
        multiply_transposed(K, count, C, gradient, a, partials.data<float>() + group * K * C, /*add=*/!begins,
                            ahead);
        multiply(count, K, C, gradient, filters.data<float>(), ahead,
                 FinishBackward{C, affine, xs + row * C, part_of(da, row * C),
                                sums.data<float>() + chunk * 2 * C});
      }
    }
    end_streaming();
  });
  Tensor dfilters_in_strips = Tensor::empty({K * C});
  add_groups(chunks.groups(), K * C, partials.data<float>(), dfilters_in_strips.data<float>());
  from_strips(K, C, dfilters_in_strips.data<float>(), dfilters.data<float>());
  finish_reduce(sum_of_chunks(sums.data<float>(), chunks.count(), 2 * C), affine, dweight, dbias);
}

}  // namespace fovea::kernels::cpu::pointwise
