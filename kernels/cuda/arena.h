#pragma once

#include "fovea/core/tensor.h"
#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {

/// What a step of an optimiser reads and changes: device memory, null where there is none.
template <class Gradient, class Copy, int kMoments>
struct Arena {
  int64_t count, decay_count;
  float decay;  // of the first decay_count weights
  const Gradient* gradient;
  const float* learning_rate;
  const float* gradient_scale;
  const int64_t* non_finite;
  float* weight;
  Copy* copy;
  float* moments[kMoments];
};

/// Updates kWidth neighbouring weights by rule(rate, decay, gradient, weight, moments), and rounds them into
/// the copy.
template <int kWidth, class Rule, class Gradient, class Copy, int kMoments>
__device__ inline void update_weights(const Arena<Gradient, Copy, kMoments>& arena, const Rule& rule,
                                      int64_t begin, float rate, float scale, bool is_skipped) {
  Floats<kWidth> weights = load<kWidth>(arena.weight + begin);
  if (!is_skipped) {
    const Floats<kWidth> gradients = load<kWidth>(arena.gradient + begin);
    Floats<kWidth> moments[kMoments];
#pragma unroll
    for (int k = 0; k < kMoments; ++k) moments[k] = load<kWidth>(arena.moments[k] + begin);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      float own[kMoments];
#pragma unroll
      for (int k = 0; k < kMoments; ++k) own[k] = moments[k][i];
      const float decay = begin + i < arena.decay_count ? arena.decay : 0.0f;
      rule(rate, decay, scale * gradients[i], weights[i], own);
#pragma unroll
      for (int k = 0; k < kMoments; ++k) moments[k][i] = own[k];
    }
    store<kWidth>(arena.weight + begin, weights);
#pragma unroll
    for (int k = 0; k < kMoments; ++k) store<kWidth>(arena.moments[k] + begin, moments[k]);
  }
  if (arena.copy != nullptr) store<kWidth>(arena.copy + begin, weights);
}

inline constexpr int kArenaThreads = 256, kArenaBlocks = 4;  // a multiprocessor's

/// One step of an optimiser: a thread takes a pack of neighbouring weights at a time, reads gradient, weight
/// and moments once and writes weight, moments and copy once; the weights after the last whole pack go one by
/// one to the first threads.
template <int kWidth, class Rule, class Gradient, class Copy, int kMoments>
__global__ void __launch_bounds__(kArenaThreads, kArenaBlocks)
    update_arena_kernel(Arena<Gradient, Copy, kMoments> arena, Rule settings) {
  const bool is_skipped = arena.non_finite != nullptr && *arena.non_finite != 0;
  if (is_skipped && arena.copy == nullptr) return;
  const auto rule = settings.prepared();
  const float rate = *arena.learning_rate;
  const float scale = arena.gradient_scale != nullptr ? *arena.gradient_scale : 1.0f;
  const int64_t packs = arena.count / kWidth;
  for (int64_t pack = grid_thread(); pack < packs; pack += grid_threads()) {
    update_weights<kWidth>(arena, rule, pack * kWidth, rate, scale, is_skipped);
  }
  const int64_t i = packs * kWidth + grid_thread();
  if (i < arena.count) update_weights<1>(arena, rule, i, rate, scale, is_skipped);
}

/// Launches a step by `rule` on f32 tensors with a gradient of 16 or 32 bits.
template <class Rule, class... Moments>
void update_arena(const char* operation, const Rule& rule, int64_t decay_count, double decay,
                  const Tensor& gradient, const Tensor& learning_rate, const Tensor& gradient_scale,
                  const Tensor& non_finite, Tensor& weight, Tensor& copy, Moments&... moments) {
  check(weight.dtype() == Dtype::f32, operation, ": dtype is ", weight.dtype(),
        ", wanted f32 on a CUDA device");
  const Dtype copied = copy.defined() ? copy.dtype() : Dtype::bf16;
  check(copied == Dtype::bf16 || copied == Dtype::f16, operation, ": the copy of the weights is ", copy,
        ", wanted bf16 or f16");
  if (weight.size() == 0) return;
  const auto run = [&]<class Gradient, class Copy>() {
    constexpr int kMoments = sizeof...(Moments);
    const Arena<Gradient, Copy, kMoments> arena{
        weight.size(),
        decay_count,
        static_cast<float>(decay),
        gradient.data<Gradient>(),
        learning_rate.data<float>(),
        gradient_scale.defined() ? gradient_scale.data<float>() : nullptr,
        non_finite.defined() ? non_finite.data<int64_t>() : nullptr,
        weight.data<float>(),
        copy.defined() ? copy.data<Copy>() : nullptr,
        {moments.template data<float>()...}};
    const auto launch_width = [&]<int kWidth>() {
      launch(operation, update_arena_kernel<kWidth, Rule, Gradient, Copy, kMoments>,
             grid_for((weight.size() + kWidth - 1) / kWidth, kArenaThreads, kArenaBlocks), arena, rule);
    };
    visit_width<float>(/*count=*/0, launch_width, arena.gradient, arena.weight, arena.copy,
                       moments.template data<float>()...);
  };
  visit_device_floating(operation, gradient.dtype(), [&]<class Gradient>() {
    if (copied == Dtype::bf16) {
      run.template operator()<Gradient, bf16>();
    } else {
      run.template operator()<Gradient, f16>();
    }
  });
}

}  // namespace fovea::kernels::cuda
