#include "fovea/kernels/conv.h"

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/column_sums.h"
#include "fovea/kernels/cpu/conv_problem.h"
#include "fovea/kernels/cpu/rows.h"

#if FOVEA_HAS_ONEDNN
#include "fovea/kernels/cpu/conv_onednn.h"
#endif

// The plain implementation: each image is unfolded into a matrix (im2col) and multiplied by Eigen. It serves
// every dtype, and f32 where oneDNN is absent.
namespace fovea::kernels::cpu {
namespace {

template <class A>
using Matrix = Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Rows of the unfolded matrix of an image, and its columns.
int64_t positions(const ConvProblem& g) {
  return g.P() * g.Q();
}
int64_t taps(const ConvProblem& g) {
  return g.R * g.S * g.C;
}

/// Calls body(row, column, pixel) for each window element inside the image: the element is
/// columns(row, column .. column + C) of the unfolded matrix and x(pixel .. pixel + C) of the image.
template <class Body>
void for_each_tap(const ConvProblem& g, Body body) {
  const int64_t P = g.P(), Q = g.Q();
  for (int64_t p = 0; p < P; ++p) {
    for (int64_t q = 0; q < Q; ++q) {
      for (int64_t r = 0; r < g.R; ++r) {
        for (int64_t s = 0; s < g.S; ++s) {
          const int64_t h = p * g.stride - g.padding + r;
          const int64_t w = q * g.stride - g.padding + s;
          if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
          body(p * Q + q, (r * g.S + s) * g.C, (h * g.W + w) * g.C);
        }
      }
    }
  }
}

template <class T, class A = Accumulator<T>>
void unfold(const ConvProblem& g, const T* image, Matrix<A>& columns) {
  columns.setZero(positions(g), taps(g));
  for_each_tap(g, [&](int64_t row, int64_t column, int64_t pixel) {
    A* target = columns.data() + row * taps(g) + column;
    for (int64_t c = 0; c < g.C; ++c) target[c] = static_cast<A>(image[pixel + c]);
  });
}

template <class T, class A = Accumulator<T>>
Matrix<A> to_matrix(const T* values, int64_t rows, int64_t columns) {
  Matrix<A> matrix(rows, columns);
  for (int64_t i = 0; i < rows * columns; ++i) matrix.data()[i] = static_cast<A>(values[i]);
  return matrix;
}

template <class A, class T>
void from_matrix(const Matrix<A>& matrix, T* values) {
  for (int64_t i = 0; i < matrix.size(); ++i) values[i] = T(matrix.data()[i]);
}

template <class T>
void forward(const ConvProblem& g, const T* x, const T* weight, T* y) {
  using A = Accumulator<T>;
  const Matrix<A> filters = to_matrix(weight, g.K, taps(g));
  parallel_for(g.N, 1, [&](int64_t begin, int64_t end) {
    Matrix<A> columns, products;
    for (int64_t n = begin; n < end; ++n) {
      unfold(g, x + n * g.x_image(), columns);
      products.noalias() = columns * filters.transpose();  // [P*Q, K]
      from_matrix(products, y + n * g.y_image());
    }
  });
}

template <class T>
void backward_input(const ConvProblem& g, const T* dy, const T* weight, T* dx) {
  using A = Accumulator<T>;
  const Matrix<A> filters = to_matrix(weight, g.K, taps(g));
  parallel_for(g.N, 1, [&](int64_t begin, int64_t end) {
    Matrix<A> columns;
    std::vector<A> image(static_cast<size_t>(g.x_image()));
    for (int64_t n = begin; n < end; ++n) {
      columns.noalias() = to_matrix(dy + n * g.y_image(), positions(g), g.K) * filters;
      std::fill(image.begin(), image.end(), A(0));
      for_each_tap(g, [&](int64_t row, int64_t column, int64_t pixel) {
        const A* source = columns.data() + row * taps(g) + column;
        for (int64_t c = 0; c < g.C; ++c) image[static_cast<size_t>(pixel + c)] += source[c];
      });
      T* target = dx + n * g.x_image();
      for (size_t i = 0; i < image.size(); ++i) target[i] = T(image[i]);
    }
  });
}

template <class T>
void backward_weight(const ConvProblem& g, const T* x, const T* dy, T* dweight) {
  using A = Accumulator<T>;
  const int64_t groups = std::clamp<int64_t>(g.N, 1, kGroups);
  std::vector<Matrix<A>> partials(static_cast<size_t>(groups));
  parallel_for(groups, 1, [&](int64_t first, int64_t last) {
    Matrix<A> columns;
    for (int64_t group = first; group < last; ++group) {
      Matrix<A>& partial = partials[static_cast<size_t>(group)];
      partial.setZero(g.K, taps(g));
      for (int64_t n = g.N * group / groups; n < g.N * (group + 1) / groups; ++n) {
        unfold(g, x + n * g.x_image(), columns);
        partial.noalias() += to_matrix(dy + n * g.y_image(), positions(g), g.K).transpose() * columns;
      }
    }
  });
  for (size_t group = 1; group < partials.size(); ++group) partials[0] += partials[group];
  from_matrix(partials[0], dweight);
}

/// Whether a convolution is an f32 matrix product over the pixels: dx = dy * weight, dweight = dy^T * x.
/// Where its result has few channels oneDNN's kernels are slow, and Eigen's are not (measured on two Zen 5
/// cores at 32x32 pixels, of 8 channels from 32: dx 11 against 29 GFLOP/s, dweight 11 against 36).
bool is_product(const Tensor& x, const ConvProblem& problem) {
  return x.dtype() == Dtype::f32 && problem.is_pointwise();
}
constexpr int64_t kNarrowInput = 8;    // channels of dx
constexpr int64_t kNarrowOutput = 16;  // channels of dy, where x has more

using FloatMap = Eigen::Map<Matrix<float>>;
using ConstFloatMap = Eigen::Map<const Matrix<float>>;

void multiply_by_weight(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  constexpr int64_t kRows = 1024;
  const int64_t K = weight.shape(0), C = weight.shape(3), rows = dy.size() / K;
  const ConstFloatMap filters(weight.data<float>(), K, C);
  parallel_for((rows + kRows - 1) / kRows, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first * kRows; row < std::min(rows, last * kRows); row += kRows) {
      const int64_t count = std::min(kRows, rows - row);
      FloatMap(dx.data<float>() + row * C, count, C).noalias() =
          ConstFloatMap(dy.data<float>() + row * K, count, K) * filters;
    }
  });
}

void multiply_transposed(const Tensor& x, const Tensor& dy, Tensor& dweight) {
  const int64_t K = dweight.shape(0), C = dweight.shape(3), rows = dy.size() / K;
  std::vector<Matrix<float>> partials(kGroups);
  parallel_for(kGroups, 1, [&](int64_t first, int64_t last) {
    for (int64_t group = first; group < last; ++group) {
      const int64_t begin = rows * group / kGroups, count = rows * (group + 1) / kGroups - begin;
      partials[static_cast<size_t>(group)].noalias() =
          ConstFloatMap(dy.data<float>() + begin * K, count, K).transpose() *
          ConstFloatMap(x.data<float>() + begin * C, count, C);
    }
  });
  for (size_t group = 1; group < partials.size(); ++group) partials[0] += partials[group];
  FloatMap(dweight.data<float>(), K, C) = partials[0];
}

/// Each element of y is a sum over a filter, and each product in it has a part in every gradient.
void count_multiply_adds(const Tensor& weight, const Tensor& y) {
  add_multiply_adds(y.size() * weight.shape().size(1, 4));
}

bool use_onednn([[maybe_unused]] const Tensor& x, [[maybe_unused]] const ConvProblem& problem) {
#if FOVEA_HAS_ONEDNN
  return x.dtype() == Dtype::f32 && x.size() > 0 && problem.is_safe_in_onednn() && onednn::is_alive();
#else
  return false;
#endif
}

template <class T>
void add_bias(const Tensor& bias, Tensor& y) {
  const int64_t K = bias.size();
  const T* b = bias.data<T>();
  T* values = y.data<T>();
  parallel_for(y.size() / K, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t k = 0; k < K; ++k) {
        values[row * K + k] =
            T(static_cast<Accumulator<T>>(values[row * K + k]) + static_cast<Accumulator<T>>(b[k]));
      }
    }
  });
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t stride, int64_t padding,
                  Tensor& y) {
  const ConvProblem problem(x.shape(), weight.shape(), stride, padding);
  count_multiply_adds(weight, y);
  if (use_onednn(x, problem)) {
#if FOVEA_HAS_ONEDNN
    onednn::conv_forward(x, weight, stride, padding, y);
#endif
  } else {
    visit_floating("conv_forward", x.dtype(),
                   [&]<class T>() { forward(problem, x.data<T>(), weight.data<T>(), y.data<T>()); });
  }
  if (bias.defined()) visit_floating("conv_forward", x.dtype(), [&]<class T>() { add_bias<T>(bias, y); });
}

void conv_backward_input(const Tensor& dy, const Tensor& weight, int64_t stride, int64_t padding,
                         Tensor& dx) {
  const ConvProblem problem(dx.shape(), weight.shape(), stride, padding);
  count_multiply_adds(weight, dy);
  if (is_product(dx, problem) && problem.C <= kNarrowInput) {
    return multiply_by_weight(dy, weight, dx);
  }
  if (use_onednn(dx, problem)) {
#if FOVEA_HAS_ONEDNN
    onednn::conv_backward_input(dy, weight, stride, padding, dx);
#endif
    return;
  }
  visit_floating("conv_backward_input", dx.dtype(),
                 [&]<class T>() { backward_input(problem, dy.data<T>(), weight.data<T>(), dx.data<T>()); });
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, int64_t stride, int64_t padding,
                          Tensor& dweight) {
  count_multiply_adds(dweight, dy);
  const ConvProblem problem(x.shape(), dweight.shape(), stride, padding);
  if (is_product(x, problem) && problem.K <= kNarrowOutput && problem.K < problem.C) {
    return multiply_transposed(x, dy, dweight);
  }
  if (use_onednn(x, problem)) {
#if FOVEA_HAS_ONEDNN
    onednn::conv_backward_weight(x, dy, stride, padding, dweight);
#endif
    return;
  }
  visit_floating("conv_backward_weight", x.dtype(),
                 [&]<class T>() { backward_weight(problem, x.data<T>(), dy.data<T>(), dweight.data<T>()); });
}

void conv_backward_bias(const Tensor& dy, Tensor& dbias) {
  const int64_t K = dbias.size();
  visit_floating("conv_backward_bias", dy.dtype(), [&]<class T>() {
    using A = Accumulator<T>;
    const T* values = dy.data<T>();
    const auto term_at = [=](int64_t k, auto lanes, Range) {
      return [=](int64_t row) { return std::array<Vec<A>, 1>{load(values + row * K + k, lanes)}; };
    };
    const std::vector<double> sums = column_sums<A, 1>(dy.size() / K, K, term_at);
    for (int64_t k = 0; k < K; ++k) dbias.data<T>()[k] = T(static_cast<A>(sums[static_cast<size_t>(k)]));
  });
}

}  // namespace fovea::kernels::cpu

fovea::kernels::ConvPlanCounts fovea::kernels::conv_plan_counts() {
#if FOVEA_HAS_ONEDNN
  return cpu::onednn::plan_counts();
#else
  return {};
#endif
}
