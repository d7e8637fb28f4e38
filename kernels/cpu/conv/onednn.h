#pragma once

#include <functional>
#include <memory>

#include "fovea/core/tensor.h"
#include "fovea/kernels/conv_problem.h"
#include "fovea/kernels/cpu/conv/chunk_engine.h"

/// oneDNN's f32 convolutions of a chunk by one thread, at which its primitives run at 80 to 95% of what the
/// core can multiply (measured on Zen 5 at the shapes of the zoo). A build without oneDNN has the same
/// functions, and is_available() is false.
namespace fovea::kernels::cpu::onednn {

/// False in a build without oneDNN, and from when the end of the program has begun to destroy what oneDNN
/// keeps: objects with static storage that convolve in their destructors do it without oneDNN.
bool is_available();

/// False for strided 1x1 convolutions whose channels are not multiples of 8: oneDNN 2.6's AVX2 kernels write
/// past their scratchpad there (found with valgrind: x [8, 8, 8, 4], 8 filters, stride 2).
inline bool is_safe(const ConvProblem& problem) {
  const auto& [N, H, W, C, K, R, S, stride, padding] = problem;
  return R * S > 1 || stride == 1 || (C % 8 == 0 && K % 8 == 0);
}

/// `pass` is forward or backward_input. Both plan the chunks, and bring `weight`, [K, R, S, C], into the
/// layout that oneDNN wants, on the calling thread.
std::unique_ptr<ChunkedConv> conv(ConvPass pass, const Chunks& chunks, const Tensor& weight);
std::unique_ptr<ChunkedFilterGradient> filter_gradient(const Chunks& chunks);

/// Plans that are kept, so that a convolution of the same shape is planned once: at most so many, the least
/// recently used goes. A step of a network of the zoo needs 14 to 90 at one batch size.
inline constexpr int64_t kMostPlans = 1024;

/// Calls body, which convolves chunks by whichever engine, with oneDNN set to one thread, for which it plans,
/// and turns its errors into ours, with the problem. OutOfMemory says how much memory is in use.
void call(const char* operation, const ConvProblem& problem, const std::function<void()>& body);

}  // namespace fovea::kernels::cpu::onednn
