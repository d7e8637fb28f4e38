#include "fovea/kernels/attention_merge.h"

#include "fovea/kernels/cuda/elements.h"
#include "fovea/kernels/cuda/sigmoid.h"

namespace fovea::kernels {
namespace {

/// y = (offset + sigmoid(m)) * t, offset 1 for residual and 0 for naive learning.
struct Merged {
  float offset;
  __device__ float operator()(float m, float t) const { return (offset + cuda::sigmoid(m)) * t; }
};

/// Its gradients, with s = sigmoid(m).
__device__ float to_mask(float dy, float s, float t) {
  return dy * t * s * (1.0f - s);
}
__device__ float to_trunk(float offset, float dy, float s) {
  return dy * (offset + s);
}
struct MaskGradient {
  __device__ float operator()(float dy, float m, float t) const { return to_mask(dy, cuda::sigmoid(m), t); }
};
struct TrunkGradient {
  float offset;
  __device__ float operator()(float dy, float m) const { return to_trunk(offset, dy, cuda::sigmoid(m)); }
};

template <int kWidth>
struct BothGradients {
  cuda::Floats<kWidth> dm, dt;
};

/// Both gradients: a thread takes packs of neighbouring elements, reads dy, m and t once and writes dm and dt
/// once.
template <int kWidth, class T>
__global__ void __launch_bounds__(cuda::kElementThreads, cuda::kElementBlocks)
    attention_merge_backward_kernel(int64_t count, float offset, const T* dy, const T* m, const T* t, T* dm,
                                    T* dt) {
  const auto compute = [&]<int kPack>(int64_t begin) {
    const auto gradient = cuda::load<kPack>(dy + begin), mask = cuda::load<kPack>(m + begin),
               trunk = cuda::load<kPack>(t + begin);
    BothGradients<kPack> result;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float s = cuda::sigmoid(mask[i]);
      result.dm[i] = to_mask(gradient[i], s, trunk[i]);
      result.dt[i] = to_trunk(offset, gradient[i], s);
    }
    return result;
  };
  const auto put = [&]<int kPack>(int64_t begin, const BothGradients<kPack>& result) {
    cuda::store<kPack>(dm + begin, result.dm);
    cuda::store<kPack>(dt + begin, result.dt);
  };
  cuda::for_each_pack<kWidth>(count, compute, put);
}

void merge_forward(const char* operation, float offset, const Tensor& m, const Tensor& t, Tensor& y) {
  cuda::visit_device_floating(operation, y.dtype(), [&]<class T>() {
    cuda::map_elements(operation, y.size(), y.data<T>(), Merged{offset}, m.data<T>(), t.data<T>());
  });
}

void merge_backward(const char* operation, float offset, const Tensor& dy, const Tensor& m, const Tensor& t,
                    Tensor& dm, Tensor& dt) {
  const int64_t count = dy.size();
  if (count == 0 || (!dm.defined() && !dt.defined())) return;
  cuda::visit_device_floating(operation, dy.dtype(), [&]<class T>() {
    if (!dt.defined()) {
      cuda::map_elements(operation, count, dm.data<T>(), MaskGradient(), dy.data<T>(), m.data<T>(),
                         t.data<T>());
    } else if (!dm.defined()) {
      cuda::map_elements(operation, count, dt.data<T>(), TrunkGradient{offset}, dy.data<T>(), m.data<T>());
    } else {
      const auto run = [&]<int kWidth>() {
        cuda::launch(operation, attention_merge_backward_kernel<kWidth, T>,
                     cuda::grid_for_elements(count, kWidth), count, offset, dy.data<T>(), m.data<T>(),
                     t.data<T>(), dm.data<T>(), dt.data<T>());
      };
      cuda::visit_width<T>(/*count=*/0, run, dy.data<T>(), m.data<T>(), t.data<T>(), dm.data<T>(),
                           dt.data<T>());
    }
  });
}

}  // namespace

void cuda::attention_merge_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  merge_forward("attention_merge", /*offset=*/1.0f, m, t, y);
}

void cuda::attention_merge_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                    Tensor& dt) {
  merge_backward("attention_merge", /*offset=*/1.0f, dy, m, t, dm, dt);
}

void cuda::attention_merge_naive_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  merge_forward("attention_merge_naive", /*offset=*/0.0f, m, t, y);
}

void cuda::attention_merge_naive_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                          Tensor& dt) {
  merge_backward("attention_merge_naive", /*offset=*/0.0f, dy, m, t, dm, dt);
}

}  // namespace fovea::kernels
