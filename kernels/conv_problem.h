#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>

#include "fovea/core/check.h"
#include "fovea/core/shape.h"
#include "fovea/kernels/window.h"

namespace fovea::kernels {

enum class ConvPass { forward, backward_input, backward_weight };

/// The shapes of a convolution.  x: [N, H, W, C], weight: [K, R, S, C], y: [N, P, Q, K]
struct ConvProblem {
  int64_t N, H, W, C, K, R, S, stride, padding;

  static ConvProblem of(const Shape& x, const Shape& weight, int64_t stride, int64_t padding) {
    return {x[0], x[1], x[2], x[3], weight[0], weight[1], weight[2], stride, padding};
  }

  int64_t P() const { return Window{R, stride, padding}.outputs(H); }
  int64_t Q() const { return Window{S, stride, padding}.outputs(W); }
  Shape x() const { return {N, H, W, C}; }
  Shape weight() const { return {K, R, S, C}; }
  Shape y() const { return {N, P(), Q(), K}; }
  /// Elements of x and of y in an image, and of weight.
  int64_t x_image() const { return H * W * C; }
  int64_t y_image() const { return P() * Q() * K; }
  int64_t weight_size() const { return K * R * S * C; }
  /// In any pass: each element of y is a sum over a filter, and each product in it has a part in every
  /// gradient.
  int64_t multiply_adds() const { return N * P() * Q() * weight_size(); }
  /// Whether every pixel is convolved by itself: a product of matrices.
  bool is_pointwise() const { return R == 1 && S == 1 && stride == 1 && padding == 0; }

  std::string str() const {
    return fovea::str("x ", x(), ", weight ", weight(), ", stride ", stride, ", padding ", padding);
  }
  friend std::ostream& operator<<(std::ostream& out, const ConvProblem& problem) {
    return out << problem.str();
  }
  friend auto operator<=>(const ConvProblem&, const ConvProblem&) = default;
};

}  // namespace fovea::kernels
