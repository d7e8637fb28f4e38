#include "fovea/kernels/matmul.h"

#include <Eigen/Core>
#include <algorithm>

#include "fovea/core/parallel_for.h"
#include "fovea/kernels/cpu/in_f32.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Calls body(m) with the matrix that `x` holds, or with its transpose.
template <class T, class Body>
void with_matrix(const Tensor& x, bool transpose, Body&& body) {
  const Eigen::Map<const Matrix<T>> m(x.data<T>(), x.shape(0), x.shape(1));
  if (transpose) {
    body(m.transpose());
  } else {
    body(m);
  }
}

/// Tiles of y are shared out among the threads. Their size is fixed, so that no sum depends on the number of
/// threads, and large enough that packing the operands costs little.
template <class T>
void multiply(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& bias,
              Tensor& y) {
  constexpr int64_t kRows = 64, kColumns = 512;
  constexpr int64_t kProductsPerThread = 1 << 18;  // below, waking a thread takes longer
  const int64_t M = y.shape(0), N = y.shape(1), K = a.shape(transpose_a ? 0 : 1);
  const int64_t row_tiles = (M + kRows - 1) / kRows, column_tiles = (N + kColumns - 1) / kColumns;
  const int64_t products = std::max<int64_t>(1, std::min(M, kRows) * std::min(N, kColumns) * K);
  const int64_t grain = kProductsPerThread / products;
  Eigen::Map<Matrix<T>> result(y.data<T>(), M, N);
  with_matrix<T>(a, transpose_a, [&](const auto& left) {
    with_matrix<T>(b, transpose_b, [&](const auto& right) {
      parallel_for(row_tiles * column_tiles, grain, [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          const int64_t m = tile / column_tiles * kRows, n = tile % column_tiles * kColumns;
          const int64_t rows = std::min(kRows, M - m), columns = std::min(kColumns, N - n);
          auto target = result.block(m, n, rows, columns);
          target.noalias() = left.middleRows(m, rows) * right.middleCols(n, columns);
          if (bias.defined()) {
            const Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>> row(bias.data<T>() + n, columns);
            target.rowwise() += row;
          }
        }
      });
    });
  });
}

}  // namespace

void matmul_forward(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& bias,
                    Tensor& y) {
  if (y.dtype() == Dtype::f64) return multiply<double>(a, transpose_a, b, transpose_b, bias, y);
  compute_in_f32(y, [&](Tensor& wide) {
    multiply<float>(as_f32(a), transpose_a, as_f32(b), transpose_b, as_f32(bias), wide);
  });
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
