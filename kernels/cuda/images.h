#pragma once

#include <bit>
#include <cstdint>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {

/// Divides numbers below 2^31 by one divisor, 1 to 2^31 - 1, without a division, which takes a device some
/// twenty instructions: multiplies by 2^shift / divisor, rounded up (Granlund and Montgomery, "Division by
/// invariant integers using multiplication", 1994).
class Divisor {
 public:
  Divisor() : Divisor(1) {}
  explicit Divisor(int64_t divisor)
      : divisor_(static_cast<unsigned>(divisor)),
        shift_(31 + static_cast<unsigned>(std::bit_width(divisor_ - 1))),
        multiplier_(static_cast<unsigned>(((uint64_t{1} << shift_) + divisor_ - 1) / divisor_)) {}

  __device__ unsigned quotient(unsigned number) const {
    return static_cast<unsigned>((uint64_t{number} * multiplier_) >> shift_);
  }
  __host__ __device__ unsigned divisor() const { return divisor_; }

 private:
  unsigned divisor_, shift_, multiplier_;
};

/// A pack of neighbouring channels of one pixel.
struct PackPosition {
  unsigned n, h, w;
  unsigned pack;  // of the pixel's
};

/// The packs of images [N, H, W, C], numbered in the order of memory.
class ImagePacks {
 public:
  /// An Error, which begins with `operation`, if they are too many to be numbered in 31 bits.
  ImagePacks(const char* operation, const Shape& image, int width)
      : count_(static_cast<unsigned>(image.size() / width)),
        H_(image[1]),
        W_(image[2]),
        packs_(image[3] / width) {
    check(image.size() / width < int64_t{1} << 31, operation, ": ", image,
          " is too much for one launch on a ", "CUDA device, wanted less than 2^31 packs of ", width,
          " channels; split the batch");
  }

  __device__ unsigned count() const { return count_; }

  static constexpr int kThreads = 256, kBlocks = 4;  // of a block, on a multiprocessor
  /// A thread for each pack: where threads do more than copy, the device shares blocks out better than a
  /// loop.
  Grid grid() const { return {dim3((count_ + kThreads - 1) / kThreads), dim3(kThreads)}; }

  __device__ PackPosition place(unsigned number) const {
    const unsigned pixel = packs_.quotient(number), row = W_.quotient(pixel), n = H_.quotient(row);
    return {n, row - n * H_.divisor(), pixel - row * W_.divisor(), number - pixel * packs_.divisor()};
  }

 private:
  unsigned count_;
  Divisor H_, W_, packs_;
};

}  // namespace fovea::kernels::cuda
