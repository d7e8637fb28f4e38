#pragma once

#include <cstdint>
#include <memory>

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv_problem.h"
#include "fovea/kernels/cpu/conv/chunk_engine.h"
#include "fovea/kernels/cpu/conv/pixel_layout.h"

/// f32 convolutions of 3x3 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for
/// convolutional neural networks", 2015, arXiv:1509.09308). For a tile x of 6x6 pixels, whose result has 4x4,
///   y = A^T [(G w G^T) . (B^T x B)] A
/// where . multiplies the 36 points one by one, and sums over the channels: at each point it is the product
/// of a matrix [tiles, C] and a matrix [C, K]. That is 36 multiplications for what takes 144 otherwise.
/// It rounds more than a sum of the products does, and by the largest numbers of a tile: the root mean square
/// of the errors is some 6 times as large, less than 2e-6 of that of the results at 256 channels (conv_test).
/// What is not finite in x makes all results of its tiles NaN or infinite.
namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd {

/// Whether a convolution has this form: 3x3, stride 1, padding 1, H and W multiples of 4, C and K multiples
/// of the elements in a register, which are eight or more; and enough tiles for it to be faster than the
/// direct one.
bool suits(const ConvProblem& problem);

/// The engine of chunks: `pass` is forward or backward_input. It brings `weight`, [K, 3, 3, C], into
/// Winograd's form with all threads.
std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight);
std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks);

/// Elements of filters in Winograd's form: at each of 36 points a matrix [C, K] in packed panels (see
/// panels.h). There is a gap between the matrices, so that a filter's points do not fall on the same lines of
/// the cache.
int64_t filter_size(int64_t C, int64_t K);

/// Filters for TileConv::forward, filter_size(C, K) elements, for a convolution of so many pixels: w
/// [K, 3, 3, C], f32 or bf16, as G w G^T. Uses all threads.
Tensor transform_filters(const Tensor& weight, int64_t pixels);

/// Filters from K to C channels with which TileConv::forward takes dy to dx. Uses all threads.
Tensor transform_filters_for_input(const Tensor& weight);

/// dweight, [K, 3, 3, C], from the gradient of transform_filters' result; on the calling thread.
void transform_filters_backward(int64_t C, int64_t K, const float* dfilters, float* dweight);

/// What one thread needs to convolve images of H x W pixels, a few tiles at a time.
class TileConv {
 public:
  TileConv(int64_t H, int64_t W) : H_(H), W_(W) {}

  /// x: [count, H, W, C] -> y: [count, H, W, K]
  void forward(int64_t count, int64_t C, int64_t K, const float* x, const float* filters, float* y) {
    forward(count, C, K, x, PixelLayout::rows(C), filters, {y, PixelLayout::rows(K)});
  }
  void forward(int64_t count, int64_t C, int64_t K, const float* x, const PixelLayout& x_layout,
               const float* filters, const PixelOutput& y);

  /// dfilters: filter_size(C, K) elements, set, or added to.
  void backward_filters(int64_t count, int64_t C, int64_t K, const float* x, const float* dy, float* dfilters,
                        bool add);

 private:
  struct Tiles;
  template <class Body>
  void for_each_block(int64_t count, Body&& body) const;
  void transform_input(const Tiles& tiles, int64_t C, const float* x, const PixelLayout& layout);
  void transform_gradient(const Tiles& tiles, int64_t K, const float* dy);
  void transform_output(const Tiles& tiles, int64_t k, const float* points, const PixelOutput& y) const;

  int64_t H_, W_;
  Tensor x_points_;  // at each point a matrix [tiles, C]
  Tensor y_points_;  // and [tiles, K]
  Tensor columns_;   // of a row of tiles, for one vector of channels
  Tensor zeros_;     // a row of pixels beside the image
};

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT::winograd
