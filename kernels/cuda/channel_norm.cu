#include "fovea/kernels/channel_norm.h"

#include "fovea/kernels/cuda/row_groups.h"

namespace fovea::kernels::cuda {
namespace {

constexpr float kSmallestNorm = 1e-12f;

/// y = x / max(||x||, 1e-12). A group of lanes takes a position, twice over; only the first comes from
/// memory.
template <int kWidth, class T>
__global__ void channel_norm_forward_kernel(PackedRows positions, const T* x, T* y) {
  for_each_row_of_group(positions, [&](int64_t first, int64_t end) {
    float squares = 0;
    for (int64_t pack = first; pack < end; pack += positions.lanes) {
      const Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) squares += numbers[i] * numbers[i];
    }
    const float norm = sqrtf(group_sum(squares, positions.lanes));
    const float scale = 1.0f / (norm < kSmallestNorm ? kSmallestNorm : norm);
    for (int64_t pack = first; pack < end; pack += positions.lanes) {
      Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) numbers[i] *= scale;
      store<kWidth>(y + pack * kWidth, numbers);
    }
  });
}

/// dx = (dy - x * <dy, x> / ||x||^2) / ||x||; dy / 1e-12 where ||x|| < 1e-12. A group of lanes takes a
/// position, twice over; only the first comes from memory.
template <int kWidth, class T>
__global__ void channel_norm_backward_kernel(PackedRows positions, const T* dy, const T* x, T* dx) {
  for_each_row_of_group(positions, [&](int64_t first, int64_t end) {
    float squares = 0, product = 0;
    for (int64_t pack = first; pack < end; pack += positions.lanes) {
      const Floats<kWidth> gradient = load<kWidth>(dy + pack * kWidth),
                           numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        squares += numbers[i] * numbers[i];
        product += gradient[i] * numbers[i];
      }
    }
    const float norm = sqrtf(group_sum(squares, positions.lanes));
    product = group_sum(product, positions.lanes);
    const bool is_clamped = norm < kSmallestNorm;
    const float scale = 1.0f / (is_clamped ? kSmallestNorm : norm);
    const float along = is_clamped ? 0.0f : product / norm / norm;
    for (int64_t pack = first; pack < end; pack += positions.lanes) {
      Floats<kWidth> gradient = load<kWidth>(dy + pack * kWidth);
      const Floats<kWidth> numbers = load<kWidth>(x + pack * kWidth);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) gradient[i] = (gradient[i] - numbers[i] * along) * scale;
      store<kWidth>(dx + pack * kWidth, gradient);
    }
  });
}

}  // namespace

void channel_norm_forward(const Tensor& x, Tensor& y) {
  if (x.size() == 0) return;
  visit_device_floating("channel_norm", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const PackedRows positions(x.size(), x.shape(3), kWidth);
      launch("channel_norm", channel_norm_forward_kernel<kWidth, T>, positions.grid(), positions, x.data<T>(),
             y.data<T>());
    };
    visit_width<T>(x.shape(3), run, x.data<T>(), y.data<T>());
  });
}

void channel_norm_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  if (x.size() == 0) return;
  visit_device_floating("channel_norm", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const PackedRows positions(x.size(), x.shape(3), kWidth);
      launch("channel_norm", channel_norm_backward_kernel<kWidth, T>, positions.grid(), positions,
             dy.data<T>(), x.data<T>(), dx.data<T>());
    };
    visit_width<T>(x.shape(3), run, dy.data<T>(), x.data<T>(), dx.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
