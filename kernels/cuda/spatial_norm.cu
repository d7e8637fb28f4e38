#include "fovea/kernels/spatial_norm.h"

#include "fovea/kernels/cuda/moments.h"

namespace fovea::kernels::cuda {
namespace {

constexpr float kEpsilon = 1e-5f;

/// What a thread keeps of a channel of an image.
template <int kWidth>
struct Statistics {
  Floats<kWidth> mean, rstd;
};

/// y = (x - mean) * rstd; the thread of an image's first pixel stores rstd.
template <class T, int kWidth>
struct ForwardMap {
  static constexpr int kAtOnce = 4;
  const T* x;
  const float *mean, *variance;
  T* y;
  float* rstd;

  __device__ Statistics<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    const int64_t offset = part.offset(0, 1, columns.I);
    Statistics<kWidth> result{load_wide<kWidth>(mean + offset), load_wide<kWidth>(variance + offset)};
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result.rstd[i] = rsqrtf(result.rstd[i] + kEpsilon);
    if (part.begin + part.row == 0) store_wide(rstd + offset, result.rstd);
    return result;
  }
  __device__ Pack<T, kWidth> read(int64_t offset) const {
    return load_pack<kWidth>(x + offset);
  }
  __device__ void write(const Statistics<kWidth>& statistics, const Pack<T, kWidth>& pixel,
                        int64_t offset) const {
    Floats<kWidth> numbers = to_floats(pixel);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) numbers[i] = (numbers[i] - statistics.mean[i]) * statistics.rstd[i];
    store<kWidth>(y + offset, numbers);
  }
};

/// Sums of dy and of dy * z over the pixels of a chunk.
template <class T, int kWidth>
struct BackwardTerms : GradientReader<T, kWidth> {
  static constexpr int kSums = 2, kAtOnce = 2;
  using Sums = Floats<kWidth>[kSums];
  using Join = SumJoin<kWidth, 2>;
  const float *mean, *rstd;
  float *sum_dy, *sum_dy_z;  // [N, C]

  __device__ Statistics<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    const int64_t offset = part.offset(0, 1, columns.I);
    return {load_wide<kWidth>(mean + offset), load_wide<kWidth>(rstd + offset)};
  }
  __device__ void add(const Statistics<kWidth>& statistics, const Gradients<T, kWidth>& pixel,
                      Sums& sums) const {
    const Floats<kWidth> gradient = to_floats(pixel.dy), numbers = to_floats(pixel.x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      sums[0][i] += gradient[i];
      sums[1][i] += gradient[i] * ((numbers[i] - statistics.mean[i]) * statistics.rstd[i]);
    }
  }
  __device__ void finish(const ColumnPart&, const Statistics<kWidth>&, const Sums& sums,
                         Sums& results) const {
    results[0] = sums[0];
    results[1] = sums[1];
  }
  __device__ void store(const ColumnPart& part, const Columns& columns, const Sums& results) const {
    const int64_t offset = part.offset(0, 1, columns.I);
    store_wide(sum_dy + offset, results[0]);
    store_wide(sum_dy_z + offset, results[1]);
  }
};

/// dx = rstd * (dy - mean of dy - z * mean of dy * z)
template <class T, int kWidth>
struct BackwardMap : GradientReader<T, kWidth> {
  static constexpr int kAtOnce = 2;
  struct Constants {
    Statistics<kWidth> statistics;
    Floats<kWidth> mean_dy, slope;  // slope: rstd * mean of dy * z
  };
  const float *mean, *rstd, *sum_dy, *sum_dy_z;
  float share;  // 1 / pixels
  T* dx;

  __device__ Constants constants(const ColumnPart& part, const Columns& columns) const {
    const int64_t offset = part.offset(0, 1, columns.I);
    Constants result{{load_wide<kWidth>(mean + offset), load_wide<kWidth>(rstd + offset)},
                     load_wide<kWidth>(sum_dy + offset),
                     load_wide<kWidth>(sum_dy_z + offset)};
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      result.mean_dy[i] *= share;
      result.slope[i] *= share * result.statistics.rstd[i];
    }
    return result;
  }
  __device__ void write(const Constants& constants, const Gradients<T, kWidth>& pixel, int64_t offset) const {
    const auto& [means, rstds] = constants.statistics;
    Floats<kWidth> gradient = to_floats(pixel.dy);
    const Floats<kWidth> numbers = to_floats(pixel.x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float along = (numbers[i] - means[i]) * constants.slope[i];
      gradient[i] = rstds[i] * (gradient[i] - constants.mean_dy[i] - along);
    }
    store<kWidth>(dx + offset, gradient);
  }
};

}  // namespace

void spatial_norm_forward(const Tensor& x, Tensor& y, Tensor& mean, Tensor& rstd) {
  if (x.size() == 0) return;
  const int64_t N = x.shape(0), pixels = x.shape(1) * x.shape(2), C = x.shape(3);
  Tensor variance = Tensor::empty_like(rstd);
  visit_device_floating("spatial_norm", x.dtype(), [&]<class T>() {
    column_moments("spatial_norm", x.data<T>(), N, pixels, C, mean.data<float>(), variance.data<float>());
    const auto run = [&]<int kWidth>() {
      const Columns columns("spatial_norm", N, pixels, C, kWidth);
      launch("spatial_norm", map_columns_kernel<kWidth, ForwardMap<T, kWidth>>, columns.grid(), columns,
             ForwardMap<T, kWidth>{x.data<T>(), mean.data<float>(), variance.data<float>(), y.data<T>(),
                                   rstd.data<float>()});
    };
    visit_width<T>(C, run, x.data<T>(), y.data<T>(), mean.data<float>(), rstd.data<float>());
  });
}

void spatial_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                           Tensor& dx) {
  if (x.size() == 0) return;
  const int64_t N = x.shape(0), pixels = x.shape(1) * x.shape(2), C = x.shape(3);
  const float *means = mean.data<float>(), *rstds = rstd.data<float>();
  Tensor sum_dy = Tensor::empty_like(mean), sum_dy_z = Tensor::empty_like(mean);
  visit_device_floating("spatial_norm", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const Columns columns("spatial_norm", N, pixels, C, kWidth);
      const GradientReader<T, kWidth> gradients{dy.data<T>(), x.data<T>()};
      sum_columns_of<kWidth>(
          "spatial_norm", columns,
          BackwardTerms<T, kWidth>{gradients, means, rstds, sum_dy.data<float>(), sum_dy_z.data<float>()});
      launch("spatial_norm", map_columns_kernel<kWidth, BackwardMap<T, kWidth>>, columns.grid(), columns,
             BackwardMap<T, kWidth>{gradients, means, rstds, sum_dy.data<float>(), sum_dy_z.data<float>(),
                                    1.0f / static_cast<float>(pixels), dx.data<T>()});
    };
    visit_width<T>(C, run, dy.data<T>(), x.data<T>(), dx.data<T>(), means, rstds);
  });
}

}  // namespace fovea::kernels::cuda
