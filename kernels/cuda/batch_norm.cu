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

  __device__ Affine<kWidth> constants(const ColumnPart& part, const Columns&) const {
    return channels.affine<kWidth>(part.i);
  }
  __device__ Pack<T, kWidth> read(int64_t offset) const { return load_pack<kWidth>(x + offset); }
  __device__ void write(const Affine<kWidth>& affine, const Pack<T, kWidth>& row, int64_t offset) const {
    store<kWidth>(y + offset, channels.result(affine, to_floats(row)));
  }
};

/// dbias = sum of g, dweight = sum of g * xhat over the rows of a chunk.
template <class T, int kWidth>
struct BackwardTerms : GradientReader<T, kWidth> {
  static constexpr int kSums = 2, kAtOnce = 2;
  using Sums = Floats<kWidth>[kSums];
  Channels channels;
  float *dbias, *dweight;  // [chunks, C]

  __device__ Affine<kWidth> constants(const ColumnPart& part, const Columns&) const {
    return channels.affine<kWidth>(part.i);
  }
  __device__ void add(const Affine<kWidth>& affine, const Gradients<T, kWidth>& row, bool, Sums& sums) const {
    const Floats<kWidth> gradient = to_floats(row.dy), numbers = to_floats(row.x);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float centred = numbers[i] - affine.mean[i];
      const float g = channels.passed(gradient[i], centred, affine.scale[i], affine.shift[i]);
      sums[0][i] += g;
      sums[1][i] += g * centred;
    }
  }
  __device__ void finish(const ColumnPart& part, const Columns& columns, const Affine<kWidth>&,
                         const Sums& sums) const {
    Floats<kWidth> weighted = channels.rstd<kWidth>(part.i);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) weighted[i] *= sums[1][i];
    const int64_t offset = part.offset(part.chunk, columns.chunks, columns.I);
    store_anywhere(dbias + offset, sums[0]);
    store_anywhere(dweight + offset, weighted);
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

/// running = (1 - momentum) * running + momentum * batch. A thread takes a channel; one pass.
__global__ void update_running_kernel(int64_t C, const float* mean, const float* variance, float momentum,
                                      float unbiased, float* running_mean, float* running_variance) {
  for (int64_t c = grid_thread(); c < C; c += grid_threads()) {
    running_mean[c] = (1.0f - momentum) * running_mean[c] + momentum * mean[c];
    running_variance[c] = (1.0f - momentum) * running_variance[c] + momentum * (unbiased * variance[c]);
  }
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  const int64_t C = mean.size();
  visit_device_floating("batch_norm_statistics", x.dtype(), [&]<class T>() {
    column_moments("batch_norm_statistics", x.data<T>(), /*O=*/1, /*R=*/x.size() / C, C, mean.data<float>(),
                   variance.data<float>());
  });
}

void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t rows, double momentum,
                               Tensor& running_mean, Tensor& running_variance) {
  const double unbiased = rows > 1 ? static_cast<double>(rows) / static_cast<double>(rows - 1) : 1.0;
  launch("batch_norm_update_running", update_running_kernel, grid_for(mean.size()), mean.size(),
         mean.data<float>(), variance.data<float>(), static_cast<float>(momentum),
         static_cast<float>(unbiased), running_mean.data<float>(), running_variance.data<float>());
}

void batch_norm_forward(const Tensor& x, const Normalisation& norm, bool has_relu, Tensor& y) {
  const int64_t C = norm.mean.size();
  const Channels channels(norm, has_relu);
  visit_device_floating("batch_norm_forward", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const Columns columns(/*O=*/1, x.size() / C, C, kWidth, Rows::split);
      launch("batch_norm_forward", map_columns_kernel<kWidth, ForwardMap<T, kWidth>>, columns.grid(), columns,
             ForwardMap<T, kWidth>{x.data<T>(), y.data<T>(), channels});
    };
    visit_width<T>(C, run, x.data<T>(), y.data<T>());
  });
}

void batch_norm_backward_reduce(const Tensor& dy, const Tensor& x, const Normalisation& norm, bool has_relu,
                                Tensor& dweight, Tensor& dbias) {
  const int64_t C = norm.mean.size();
  const Channels channels(norm, has_relu);
  visit_device_floating("batch_norm_backward_reduce", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const Columns columns(/*O=*/1, x.size() / C, C, kWidth, Rows::split);
      const GradientReader<T, kWidth> gradients{dy.data<T>(), x.data<T>()};
      const auto terms = [&](float* dbias_of_chunks, float* dweight_of_chunks) {
        return BackwardTerms<T, kWidth>{gradients, channels, dbias_of_chunks, dweight_of_chunks};
      };
      sum_column_pairs<kWidth>("batch_norm_backward_reduce", columns, terms, dbias.data<float>(),
                               dweight.data<float>());
    };
    visit_width<T>(C, run, dy.data<T>(), x.data<T>());
  });
}

void batch_norm_backward_input(const Tensor& dy, const Tensor& x, const Normalisation& norm,
                               const Tensor& dweight, const Tensor& dbias, bool has_relu, const Tensor& other,
                               Tensor& dx) {
  const int64_t C = norm.mean.size(), rows = x.size() / C;
  const GradientChannels channels(norm, has_relu, rows, dweight, dbias);
  visit_device_floating("batch_norm_backward_input", x.dtype(), [&]<class T>() {
    const T* added = other.defined() ? other.data<T>() : nullptr;
    const auto run = [&]<int kWidth>() {
      const Columns columns(/*O=*/1, rows, C, kWidth, Rows::split);
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
    visit_width<T>(C, run, dy.data<T>(), x.data<T>(), dx.data<T>(), added);
  });
}

}  // namespace fovea::kernels::cuda
