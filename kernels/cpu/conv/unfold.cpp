#include "fovea/kernels/cpu/conv/unfold.h"

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/conv/chunks.h"
#include "fovea/kernels/cpu/in_f32.h"
#include "fovea/kernels/cpu/rows.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

template <class A>
using Matrix = Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class A>
using Map = Eigen::Map<Matrix<A>>;
template <class A>
using ConstMap = Eigen::Map<const Matrix<A>>;

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

/// The sum of the groups' matrices, which it changes; 0 without any.
template <class A>
Matrix<A> sum_of(std::vector<Matrix<A>>& partials, int64_t rows, int64_t columns) {
  if (partials.empty()) return Matrix<A>::Zero(rows, columns);
  add_by_pairs(std::ssize(partials), [&](int64_t to, int64_t from) {
    partials[static_cast<size_t>(to)] += partials[static_cast<size_t>(from)];
  });
  return partials[0];
}

template <class A>
void unfold(const ConvProblem& g, const A* image, Matrix<A>& columns) {
  columns.setZero(positions(g), taps(g));
  for_each_tap(g, [&](int64_t row, int64_t column, int64_t pixel) {
    std::copy_n(image + pixel, g.C, columns.data() + row * taps(g) + column);
  });
}

template <class A>
void forward(const ConvProblem& g, const A* x, const A* weight, A* y) {
  const ConstMap<A> filters(weight, g.K, taps(g));
  parallel_for(g.N, 1, [&](int64_t begin, int64_t end) {
    Matrix<A> columns;
    for (int64_t n = begin; n < end; ++n) {
      unfold(g, x + n * g.x_image(), columns);
      Map<A>(y + n * g.y_image(), positions(g), g.K).noalias() = columns * filters.transpose();
    }
  });
}

template <class A>
void backward_input(const ConvProblem& g, const A* dy, const A* weight, A* dx) {
  const ConstMap<A> filters(weight, g.K, taps(g));
  parallel_for(g.N, 1, [&](int64_t begin, int64_t end) {
    Matrix<A> columns;
    for (int64_t n = begin; n < end; ++n) {
      columns.noalias() = ConstMap<A>(dy + n * g.y_image(), positions(g), g.K) * filters;
      A* const image = dx + n * g.x_image();
      std::fill_n(image, g.x_image(), A(0));
      for_each_tap(g, [&](int64_t row, int64_t column, int64_t pixel) {
        const A* source = columns.data() + row * taps(g) + column;
        for (int64_t c = 0; c < g.C; ++c) image[pixel + c] += source[c];
      });
    }
  });
}

template <class A>
void backward_weight(const ConvProblem& g, const A* x, const A* dy, A* dweight) {
  const GroupedChunks images(g.N);
  std::vector<Matrix<A>> partials(static_cast<size_t>(images.groups()));
  parallel_for(images.groups(), 1, [&](int64_t first, int64_t last) {
    Matrix<A> columns;
    for (int64_t group = first; group < last; ++group) {
      Matrix<A>& partial = partials[static_cast<size_t>(group)];
      partial.setZero(g.K, taps(g));
      const Interval those = images.units_of_group(group);
      for (int64_t n = those.begin; n < those.end; ++n) {
        unfold(g, x + n * g.x_image(), columns);
        partial.noalias() += ConstMap<A>(dy + n * g.y_image(), positions(g), g.K).transpose() * columns;
      }
    }
  });
  Map<A>(dweight, g.K, taps(g)) = sum_of(partials, g.K, taps(g));
}

using FloatMap = Map<float>;
using ConstFloatMap = ConstMap<float>;

}  // namespace

void unfolded::conv_forward(const ConvProblem& problem, const Tensor& x, const Tensor& weight, Tensor& y) {
  if (y.dtype() == Dtype::f64) {
    return forward(problem, x.data<double>(), weight.data<double>(), y.data<double>());
  }
  const Tensor from = as_f32(x), filters = as_f32(weight);
  compute_in_f32(y, [&](Tensor& wide) {
    forward(problem, from.data<float>(), filters.data<float>(), wide.data<float>());
  });
}

void unfolded::conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight,
                                   Tensor& dx) {
  if (dx.dtype() == Dtype::f64) {
    return backward_input(problem, dy.data<double>(), weight.data<double>(), dx.data<double>());
  }
  const Tensor from = as_f32(dy), filters = as_f32(weight);
  compute_in_f32(dx, [&](Tensor& wide) {
    backward_input(problem, from.data<float>(), filters.data<float>(), wide.data<float>());
  });
}

void unfolded::conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy,
                                    Tensor& dweight) {
  if (dweight.dtype() == Dtype::f64) {
    return backward_weight(problem, x.data<double>(), dy.data<double>(), dweight.data<double>());
  }
  const Tensor from = as_f32(x), gradient = as_f32(dy);
  compute_in_f32(dweight, [&](Tensor& wide) {
    backward_weight(problem, from.data<float>(), gradient.data<float>(), wide.data<float>());
  });
}

void narrow::conv_backward_input(const ConvProblem& problem, const Tensor& dy, const Tensor& weight,
                                 Tensor& dx) {
  constexpr int64_t kRows = 1024;
  const int64_t K = problem.K, C = problem.C, rows = dy.size() / K;
  const ConstFloatMap filters(weight.data<float>(), K, C);
  const GroupedChunks chunks(rows, kRows);
  parallel_for(chunks.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const Interval those = chunks.units(chunk);
      FloatMap(dx.data<float>() + those.begin * C, those.count(), C).noalias() =
          ConstFloatMap(dy.data<float>() + those.begin * K, those.count(), K) * filters;
    }
  });
}

void narrow::conv_backward_weight(const ConvProblem& problem, const Tensor& x, const Tensor& dy,
                                  Tensor& dweight) {
  const int64_t K = problem.K, C = problem.C, rows = dy.size() / K;
  const GroupedChunks groups(rows);
  std::vector<Matrix<float>> partials(static_cast<size_t>(groups.groups()));
  parallel_for(groups.groups(), 1, [&](int64_t first, int64_t last) {
    for (int64_t group = first; group < last; ++group) {
      const Interval those = groups.units_of_group(group);
      partials[static_cast<size_t>(group)].noalias() =
          ConstFloatMap(dy.data<float>() + those.begin * K, those.count(), K).transpose() *
          ConstFloatMap(x.data<float>() + those.begin * C, those.count(), C);
    }
  });
  FloatMap(dweight.data<float>(), K, C) = sum_of(partials, K, C);
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
