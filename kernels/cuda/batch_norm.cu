#include "fovea/kernels/batch_norm.h"

#include <type_traits>

#include "fovea/kernels/cuda/batch_norm_channels.h"
#include "fovea/kernels/cuda/moments.h"

namespace fovea::kernels::cuda {
namespace {

template <class T, int kWidth>
struct ForwardMap {
  static constexpr int kAtOnce = 4;
  const T* x;
  T* y;
  Channels channels;
  RunningMoments running;

  __device__ Affine<kWidth> constants(const ColumnPart& part, const Columns& columns) const {
    if (running.defined() && part.chunk == 0) {
      for (int i = part.row; i < kWidth; i += columns.down) running.move(part.i + i, channels);
    }
    return channels.affine<kWidth>(part.i);
  }
  __device__ Pack<T, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void write(const Affine<kWidth>& affine, const Pack<T, kWidth>& row, int64_t offset) const {
    store<kWidth>(y + offset, channels.result(affine, to_floats(row)));
  }
};

/// dbias = sum of g, dweight = sum of g * xhat, of which g * (x - mean) is summed up.
template <class T, int kWidth>
struct BackwardTerms : GradientReader<T, kWidth> {
  static constexpr int kSums = 2, kAtOnce = 2;
  using Sums = Floats<kWidth>[kSums];
  using Join = SumJoin<kWidth, 2>;
  Channels channels;
  float *dbias, *dweight;  // [C]

  __device__ Affine<kWidth> constants(const ColumnPart& part, const Columns&) const {
    return channels.affine<kWidth>(part.i);
  }
  __device__ void add(const Affine<kWidth>& affine, const Gradients<T, kWidth>& row, Sums& sums) const {
    const Floats<kWidth> gradient = to_floats(row.dy), numbers = to_floats(row.x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float centred = numbers[i] - affine.mean[i];
      const float g = channels.passed(gradient[i], centred, affine.scale[i], affine.shift[i]);
      sums[0][i] += g;
      sums[1][i] += g * centred;
    }
  }
  __device__ void finish(const ColumnPart&, const Affine<kWidth>&, const Sums& sums, Sums& results) const {
    results[0] = sums[0];
    results[1] = sums[1];
  }
  __device__ void store(const ColumnPart& part, const Columns&, const Sums& results) const {
    Floats<kWidth> weighted = channels.rstd<kWidth>(part.i);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) weighted[i] *= results[1][i];
    store_wide(dbias + part.i, results[0]);
    store_wide(dweight + part.i, weighted);
  }
};

template <class T, int kWidth>
struct BackwardMap : GradientReader<T, kWidth> {
  static constexpr int kAtOnce = 2;
  GradientChannels channels;
  T* dx;

  __device__ GradientAffine<kWidth> constants(const ColumnPart& part, const Columns&) const {
    return channels.affine<kWidth>(part.i);
  }
  __device__ void write(const GradientAffine<kWidth>& affine, const Gradients<T, kWidth>& row,
                        int64_t offset) const {
    store<kWidth>(dx + offset, channels.result(affine, to_floats(row.dy), to_floats(row.x)));
  }
};

/// The same, plus another gradient. One row at a time has as many loads under way as two of the other, and as
/// many numbers as there are registers for.
template <class T, int kWidth>
struct BackwardAddMap : BackwardMap<T, kWidth> {
  static constexpr int kAtOnce = 1;
  struct Row : Gradients<T, kWidth> {
    Pack<T, kWidth> other;
  };
  const T* other;

  __device__ Row read(int64_t offset) const {
    return {BackwardMap<T, kWidth>::read(offset), load_pack<kWidth>(other + offset)};
  }
  __device__ void write(const GradientAffine<kWidth>& affine, const Row& row, int64_t offset) const {
    Floats<kWidth> result = this->channels.result(affine, to_floats(row.dy), to_floats(row.x));
    const Floats<kWidth> added = to_floats(row.other);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) result[i] += added[i];
    store<kWidth>(this->dx + offset, result);
  }
};

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  const int64_t C = mean.size();
  visit_device_floating("batch_norm_statistics", x.dtype(), [&]<class T>() {
    column_moments("batch_norm_statistics", x.data<T>(), /*O=*/1, /*R=*/x.size() / C, C, mean.data<float>(),
                   variance.data<float>());
  });
}

void batch_norm_forward(const Tensor& x, const NormConstants& norm, bool has_relu, Tensor& y) {
  const int64_t C = norm.mean.size();
  const Channels channels(norm, has_relu);
  const RunningMoments running(norm, x.size() / C);
  visit_device_floating("batch_norm_forward", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const Columns columns("batch_norm_forward", /*O=*/1, x.size() / C, C, kWidth);
      launch("batch_norm_forward", map_columns_kernel<kWidth, ForwardMap<T, kWidth>>, columns.grid(), columns,
             ForwardMap<T, kWidth>{x.data<T>(), y.data<T>(), channels, running});
    };
    visit_width<T>(C, run, x.data<T>(), y.data<T>(), channels.mean, channels.variance, channels.weight,
                   channels.bias);
  });
}

void batch_norm_backward_reduce(const Tensor& dy, const Tensor& x, const NormConstants& norm, bool has_relu,
                                Tensor& dweight, Tensor& dbias) {
  constexpr const char* kOperation = "batch_norm_backward_reduce";
  const int64_t C = norm.mean.size();
  const Channels channels(norm, has_relu);
  visit_device_floating(kOperation, x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const Columns columns(kOperation, /*O=*/1, x.size() / C, C, kWidth);
      const GradientReader<T, kWidth> gradients{dy.data<T>(), x.data<T>()};
      sum_columns_of<kWidth>(
          kOperation, columns,
          BackwardTerms<T, kWidth>{gradients, channels, dbias.data<float>(), dweight.data<float>()});
    };
    visit_width<T>(C, run, dy.data<T>(), x.data<T>(), channels.mean, channels.variance, channels.weight,
                   channels.bias, dbias.data<float>(), dweight.data<float>());
  });
}

void batch_norm_backward_input(const Tensor& dy, const Tensor& x, const NormConstants& norm,
                               const Tensor& dweight, const Tensor& dbias, bool has_relu, const Tensor& other,
                               Tensor& dx) {
  const int64_t C = norm.mean.size(), rows = x.size() / C;
  const GradientChannels channels(norm, has_relu, rows, dweight, dbias);
  visit_device_floating("batch_norm_backward_input", x.dtype(), [&]<class T>() {
    const T* added = other.defined() ? other.data<T>() : nullptr;
    const auto run = [&]<int kWidth>() {
      const Columns columns("batch_norm_backward_input", /*O=*/1, rows, C, kWidth);
      const GradientReader<T, kWidth> gradients{dy.data<T>(), x.data<T>()};
      const BackwardMap<T, kWidth> map{gradients, channels, dx.data<T>()};
      const auto run_map = [&](const auto& any_map) {
        launch("batch_norm_backward_input", map_columns_kernel<kWidth, std::decay_t<decltype(any_map)>>,
               columns.grid(), columns, any_map);
      };
      if (added == nullptr) {
        run_map(map);
      } else {
        run_map(BackwardAddMap<T, kWidth>{map, added});
      }
    };
    const Channels& norm_channels = channels.channels;
    visit_width<T>(C, run, dy.data<T>(), x.data<T>(), dx.data<T>(), added, norm_channels.mean,
                   norm_channels.variance, norm_channels.weight, norm_channels.bias, channels.dweight,
                   channels.dbias);
  });
}

}  // namespace fovea::kernels::cuda
