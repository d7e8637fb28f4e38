#pragma once

#include <cstdint>
#include <memory>

#include "fovea/core/tensor.h"
#include "fovea/kernels/cpu/conv/chunks.h"

/// The interface of what convolves chunks of f32, from cache to cache: oneDNN and Winograd's form. An object
/// for all threads has what is made once, a plan and the filters in the engine's layout; from it one is
/// made for each range of chunks on a thread, which has buffers. A virtual call a chunk, of some 768 KB,
/// costs nothing.
namespace fovea::kernels::cpu {

/// The pass forward, x -> y, or backward_input, dy -> dx, on one thread.
class ChunkRunner {
 public:
  virtual ~ChunkRunner() = default;
  /// Computes `units` units (images or rows of pixels), at most a chunk's.
  virtual void run(int64_t units, const float* from, float* to) = 0;
};

/// One pass of a convolution over chunks, shared by all threads.
class ChunkedConv {
 public:
  virtual ~ChunkedConv() = default;
  virtual std::unique_ptr<ChunkRunner> runner() const = 0;
};

/// The gradient of the filters over several chunks, added up by one thread.
class FilterGradientSum {
 public:
  virtual ~FilterGradientSum() = default;
  /// Starts a sum in `total`, which holds it after `end`.
  virtual void begin(float* total) = 0;
  virtual void add(int64_t units, const float* x, const float* dy) = 0;
  virtual void end() = 0;
};

/// The pass backward_weight, for all threads: each sums up groups of chunks.
class ChunkedFilterGradient {
 public:
  virtual ~ChunkedFilterGradient() = default;
  virtual std::unique_ptr<FilterGradientSum> sum() const = 0;
  /// Elements of a sum, which is in the engine's layout.
  virtual int64_t size() const = 0;
  /// Where the sum of all chunks is to be: dweight itself, [K, R, S, C], where that is the engine's layout.
  virtual Tensor sum_for(const Tensor& dweight) const = 0;
  /// Brings that sum into dweight.
  virtual void to_plain(const Tensor& sum, Tensor& dweight) const = 0;
};

}  // namespace fovea::kernels::cpu
