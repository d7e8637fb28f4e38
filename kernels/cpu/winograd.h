#pragma once

#include <cstdint>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu/conv_problem.h"

/// f32 convolutions of 3x3 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast algorithms for
/// convolutional neural networks", 2015, arXiv:1509.09308). For a tile x of 4x4 pixels, whose result has 2x2,
///   y = A^T [(G w G^T) . (B^T x B)] A
/// where . multiplies the 16 points one by one, and sums over the channels: at each point it is a product of
/// a matrix [tiles, C] and a matrix [C, K]. That is 16 multiplications for what takes 36 otherwise; the
/// factors in A, B and G are 0, 1 and 1/2, so that it rounds about as the direct form does.
namespace fovea::kernels::cpu::winograd {

inline constexpr int64_t kPoints = 16;

/// Whether it serves: stride 1, padding 1, H and W multiples of 4, channels that fill registers of at least
/// eight numbers.
bool suits(const ConvProblem& problem);

/// Filters for Runner::forward, [16, C, K], each matrix in strips: w [K, 3, 3, C] as G w G^T.
Tensor transform_filters(const Tensor& weight);

/// Filters [16, K, C] with which Runner::forward takes dy to dx.
Tensor transform_filters_for_input(const Tensor& weight);

/// dweight, [K, 3, 3, C], from the gradient of transform_filters' result.
void transform_filters_backward(const Tensor& dfilters, Tensor& dweight);

/// What one thread needs to convolve images of H x W pixels, a few tiles at a time.
class Runner {
 public:
  Runner(int64_t H, int64_t W) : H_(H), W_(W) {}

  /// x: [count, H, W, C] -> y: [count, H, W, K]
  void forward(int64_t count, int64_t C, int64_t K, const float* x, const float* filters, float* y);

  /// dfilters: [16, C, K], set, or added to.
  void backward_filters(int64_t count, int64_t C, int64_t K, const float* x, const float* dy, float* dfilters,
                        bool add);

 private:
  struct Tiles;
  template <class Body>
  void for_each_block(int64_t count, Body&& body) const;
  void transform_input(const Tiles& tiles, int64_t C, const float* x);
  void transform_gradient(const Tiles& tiles, int64_t K, const float* dy);
  void transform_output(const Tiles& tiles, int64_t K, int64_t k, const float* points, float* y) const;

  int64_t H_, W_;
  Tensor x_points_, y_points_;  // [16][tiles, C] and [16][tiles, K], a register's width between them
  Tensor zeros_;                // a row of pixels beside the image
};

}  // namespace fovea::kernels::cpu::winograd
