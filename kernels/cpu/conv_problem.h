#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>

#include "fovea/core/check.h"
#include "fovea/core/shape.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels::cpu {

/// Everything that a convolution on the CPU depends on, but the pass.
struct ConvProblem {
  int64_t N, H, W, C, K, R, S, stride, padding;

  /// x: [N, H, W, C], weight: [K, R, S, C]
  ConvProblem(const Shape& x, const Shape& weight, int64_t stride_, int64_t padding_)
      : N(x[0]),
        H(x[1]),
        W(x[2]),
        C(x[3]),
        K(weight[0]),
        R(weight[1]),
        S(weight[2]),
        stride(stride_),
        padding(padding_) {}

  /// Height and width of y.
  int64_t P() const { return Window{R, stride, padding}.outputs(H); }
  int64_t Q() const { return Window{S, stride, padding}.outputs(W); }
  /// Numbers of x and of y in an image.
  int64_t x_image() const { return H * W * C; }
  int64_t y_image() const { return P() * Q() * K; }
  /// Whether every pixel is convolved by itself: a product of matrices.
  bool is_pointwise() const { return R == 1 && S == 1 && stride == 1 && padding == 0; }
  /// Not so: 1x1 with a stride, and channels that do not fill registers of AVX2. oneDNN 2.6's AVX2 kernels
  /// for it write behind their scratchpad (found with valgrind: x [8, 8, 8, 4], 8 filters, stride 2).
  bool is_safe_in_onednn() const { return R * S > 1 || stride == 1 || (C % 8 == 0 && K % 8 == 0); }
  Shape result() const { return conv_shape({N, H, W, C}, {K, R, S, C}, stride, padding); }
  std::string str() const {
    return fovea::str("x [", N, ", ", H, ", ", W, ", ", C, "], weight [", K, ", ", R, ", ", S, ", ", C,
                      "], stride ", stride, ", padding ", padding);
  }
  friend std::ostream& operator<<(std::ostream& out, const ConvProblem& problem) {
    return out << problem.str();
  }
  friend auto operator<=>(const ConvProblem&, const ConvProblem&) = default;
};

}  // namespace fovea::kernels::cpu
