#pragma once

#include "fovea/kernels/batch_norm.h"
#include "fovea/kernels/cuda/pack.h"

/// What batch norm makes of the channels of a pack.
namespace fovea::kernels::cuda {

/// What a thread keeps of its channels: y = (x - mean) * scale + shift. Subtracting first keeps the digits of
/// a channel whose mean is far larger than its deviation.
template <int kWidth>
struct Affine {
  Floats<kWidth> mean, scale, shift;
};

/// The per-channel arguments, [C], and what they make of x.
struct Channels {
  const float *mean, *variance, *weight, *bias;
  float epsilon;
  bool has_relu;

  Channels(const NormConstants& norm, bool has_relu_)
      : mean(norm.mean.data<float>()),
        variance(norm.variance.data<float>()),
        weight(norm.weight.data<float>()),
        bias(norm.bias.data<float>()),
        epsilon(static_cast<float>(norm.epsilon)),
        has_relu(has_relu_) {}

  template <int kWidth>
  __device__ Floats<kWidth> rstd(int64_t c) const {
    Floats<kWidth> result = load_wide<kWidth>(variance + c);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result[i] = rsqrtf(result[i] + epsilon);
    return result;
  }
  template <int kWidth>
  __device__ Affine<kWidth> affine(int64_t c) const {
    Affine<kWidth> result{load_wide<kWidth>(mean + c), load_wide<kWidth>(weight + c),
                          load_wide<kWidth>(bias + c)};
    const Floats<kWidth> r = rstd<kWidth>(c);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result.scale[i] *= r[i];
    return result;
  }
  template <int kWidth>
  __device__ Floats<kWidth> result(const Affine<kWidth>& affine, const Floats<kWidth>& x) const {
    Floats<kWidth> y;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float value = (x[i] - affine.mean[i]) * affine.scale[i] + affine.shift[i];
      y[i] = has_relu && value < 0.0f ? 0.0f : value;  // a NaN stays
    }
    return y;
  }
  /// The same where has_relu is true, which the compiler then knows.
  __device__ Channels with_relu() const {
    Channels known = *this;
    known.has_relu = true;
    return known;
  }
  /// dy, or 0 where the relu was 0; a NaN passes dy on.
  __device__ float passed(float dy, float centred, float scale, float shift) const {
    return has_relu && centred * scale + shift <= 0.0f ? 0.0f : dy;
  }
};

/// Running statistics as a forward pass moves them: running = (1 - momentum) * running + momentum * batch.
struct RunningMoments {
  float *mean, *variance;  // [C], or null: there is nothing to be moved
  float momentum, unbiased;

  RunningMoments(const NormConstants& norm, int64_t rows)
      : mean(nullptr),
        variance(nullptr),
        momentum(static_cast<float>(norm.running.momentum)),
        unbiased(static_cast<float>(unbiased_factor(rows * norm.shares))) {
    if (!norm.running.mean.defined()) return;
    Tensor running_mean = norm.running.mean, running_variance = norm.running.variance;
    mean = running_mean.data<float>();
    variance = running_variance.data<float>();
  }

  __device__ bool defined() const { return mean != nullptr; }
  __device__ void move(int64_t c, const Channels& channels) const {
    mean[c] = (1.0f - momentum) * mean[c] + momentum * channels.mean[c];
    variance[c] = (1.0f - momentum) * variance[c] + momentum * (unbiased * channels.variance[c]);
  }
};

/// The constants of `count` channels, a multiple of 4, in shared memory, where a block computes them once:
/// [3, count].
struct SharedAffine {
  static constexpr int kArrays = 3;
  const float* values;
  int count;

  template <int kWidth>
  __device__ Affine<kWidth> at(int c) const {
    const float* const own = values + c;
    return {load_wide<kWidth>(own), load_wide<kWidth>(own + count), load_wide<kWidth>(own + 2 * count)};
  }
  /// Those of channels first, first + 1, ...; 0 from channel C on. All threads of a block, which a barrier
  /// follows.
  __device__ static void fill(float* values, int count, const Channels& channels, int first, int C) {
    for (int c = static_cast<int>(threadIdx.x); c < count; c += static_cast<int>(blockDim.x)) {
      Affine<1> affine{};
      if (first + c < C) affine = channels.affine<1>(first + c);
      values[c] = affine.mean[0];
      values[count + c] = affine.scale[0];
      values[2 * count + c] = affine.shift[0];
    }
  }
};

/// What a thread keeps for dx = scale * g + slope * (x - mean) + offset.
template <int kWidth>
struct GradientAffine {
  Affine<kWidth> affine;
  Floats<kWidth> slope, offset;
};

/// The per-channel arguments of the backward pass, and what they make of dy and x.
struct GradientChannels {
  Channels channels;
  const float *dweight, *dbias;
  float share;  // 1 / rows of all shares, or 0 where mean and variance are constants

  GradientChannels(const NormConstants& norm, bool has_relu, int64_t rows, const Tensor& dweight_,
                   const Tensor& dbias_)
      : channels(norm, has_relu),
        dweight(dweight_.data<float>()),
        dbias(dbias_.data<float>()),
        share(norm.of_batch ? 1.0f / static_cast<float>(rows * norm.shares) : 0.0f) {}

  __device__ GradientChannels with_relu() const {
    GradientChannels known = *this;
    known.channels.has_relu = true;
    return known;
  }
  template <int kWidth>
  __device__ GradientAffine<kWidth> affine(int64_t c) const {
    GradientAffine<kWidth> result{channels.affine<kWidth>(c), channels.rstd<kWidth>(c),
                                  load_wide<kWidth>(dbias + c)};
    const Floats<kWidth> sum_g_xhat = load_wide<kWidth>(dweight + c);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float factor = -share * result.affine.scale[i];
      // 0 where mean and variance are constants, whatever the gradients are.
      result.slope[i] = share == 0.0f ? 0.0f : result.slope[i] * (factor * sum_g_xhat[i]);
      result.offset[i] = share == 0.0f ? 0.0f : result.offset[i] * factor;
    }
    return result;
  }
  template <int kWidth>
  __device__ Floats<kWidth> result(const GradientAffine<kWidth>& constants, const Floats<kWidth>& dy,
                                   const Floats<kWidth>& x) const {
    const auto& [mean, scale, shift] = constants.affine;
    Floats<kWidth> dx;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float centred = x[i] - mean[i];
      const float g = channels.passed(dy[i], centred, scale[i], shift[i]);
      dx[i] = scale[i] * g + constants.slope[i] * centred + constants.offset[i];
    }
    return dx;
  }
};

/// The same for the backward pass: [5, count].
struct SharedGradientAffine {
  static constexpr int kArrays = 5;
  const float* values;
  int count;

  template <int kWidth>
  __device__ GradientAffine<kWidth> at(int c) const {
    return {SharedAffine{values, count}.at<kWidth>(c), load_wide<kWidth>(values + 3 * count + c),
            load_wide<kWidth>(values + 4 * count + c)};
  }
  __device__ static void fill(float* values, int count, const GradientChannels& channels, int first, int C) {
    for (int c = static_cast<int>(threadIdx.x); c < count; c += static_cast<int>(blockDim.x)) {
      GradientAffine<1> own{};
      if (first + c < C) own = channels.affine<1>(first + c);
      values[c] = own.affine.mean[0];
      values[count + c] = own.affine.scale[0];
      values[2 * count + c] = own.affine.shift[0];
      values[3 * count + c] = own.slope[0];
      values[4 * count + c] = own.offset[0];
    }
  }
};

}  // namespace fovea::kernels::cuda
