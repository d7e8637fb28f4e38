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

  Channels(const Normalisation& norm, bool has_relu_)
      : mean(norm.mean.data<float>()),
        variance(norm.variance.data<float>()),
        weight(norm.weight.data<float>()),
        bias(norm.bias.data<float>()),
        epsilon(static_cast<float>(norm.epsilon)),
        has_relu(has_relu_) {}

  template <int kWidth>
  __device__ Floats<kWidth> rstd(int64_t c) const {
    Floats<kWidth> result = load_anywhere<kWidth>(variance + c);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result[i] = rsqrtf(result[i] + epsilon);
    return result;
  }
  template <int kWidth>
  __device__ Affine<kWidth> affine(int64_t c) const {
    Affine<kWidth> result{load_anywhere<kWidth>(mean + c), load_anywhere<kWidth>(weight + c),
                          load_anywhere<kWidth>(bias + c)};
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
  /// dy, or 0 where the relu was 0.
  __device__ float passed(float dy, float centred, float scale, float shift) const {
    return !has_relu || centred * scale + shift > 0.0f ? dy : 0.0f;
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
  float share;  // 1 / rows, or 0 where mean and variance are constants

  GradientChannels(const Normalisation& norm, bool has_relu, int64_t rows, const Tensor& dweight_,
                   const Tensor& dbias_)
      : channels(norm, has_relu),
        dweight(dweight_.data<float>()),
        dbias(dbias_.data<float>()),
        share(norm.of_batch ? 1.0f / static_cast<float>(rows) : 0.0f) {}

  template <int kWidth>
  __device__ GradientAffine<kWidth> affine(int64_t c) const {
    GradientAffine<kWidth> result{channels.affine<kWidth>(c), channels.rstd<kWidth>(c),
                                  load_anywhere<kWidth>(dbias + c)};
    const Floats<kWidth> sum_g_xhat = load_anywhere<kWidth>(dweight + c);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float factor = -share * result.affine.scale[i];
      result.slope[i] *= factor * sum_g_xhat[i];
      result.offset[i] *= factor;
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

}  // namespace fovea::kernels::cuda
