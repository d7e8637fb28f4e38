#include "fovea/kernels/attention_merge.h"

#include "fovea/kernels/cuda/elements.h"
#include "fovea/kernels/cuda/sigmoid.h"

namespace fovea::kernels::cuda {
namespace {

struct Merged {
  float offset;
  __device__ float operator()(float m, float t) const { return merged(offset, sigmoid(m), t); }
};

template <int kWidth>
struct Gradients {
  Floats<kWidth> dm, dt;
};

/// A thread takes packs of neighbouring elements, reads dy, m and t once and writes dm and dt once.
template <int kWidth, class T>
__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    attention_merge_backward_kernel(int64_t count, float offset, const T* dy, const T* m, const T* t, T* dm,
                                    T* dt) {
  const auto compute = [&]<int kPack>(int64_t begin) {
    const auto dys = load<kPack>(dy + begin), ms = load<kPack>(m + begin), ts = load<kPack>(t + begin);
    Gradients<kPack> result;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const auto one = merge_gradients(offset, dys[i], sigmoid(ms[i]), ts[i]);
      result.dm[i] = one.dm;
      result.dt[i] = one.dt;
    }
    return result;
  };
  const auto put = [&]<int kPack>(int64_t begin, const Gradients<kPack>& result) {
    store<kPack>(dm + begin, result.dm);
    store<kPack>(dt + begin, result.dt);
  };
  for_each_pack<kWidth>(count, compute, put);
}

void forward(const char* operation, float offset, const Tensor& m, const Tensor& t, Tensor& y) {
  visit_device_floating(operation, y.dtype(), [&]<class T>() {
    map_elements(operation, y.size(), y.data<T>(), Merged{offset}, m.data<T>(), t.data<T>());
  });
}

void backward(const char* operation, float offset, const Tensor& dy, const Tensor& m, const Tensor& t,
              Tensor& dm, Tensor& dt) {
  const int64_t count = dy.size();
  if (count == 0) return;
  visit_device_floating(operation, dy.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      launch(operation, attention_merge_backward_kernel<kWidth, T>, grid_for_elements(count, kWidth), count,
             offset, dy.data<T>(), m.data<T>(), t.data<T>(), dm.data<T>(), dt.data<T>());
    };
    visit_width<T>(/*count=*/0, run, dy.data<T>(), m.data<T>(), t.data<T>(), dm.data<T>(), dt.data<T>());
  });
}

}  // namespace

void attention_merge_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  forward("attention_merge", /*offset=*/1.0f, m, t, y);
}

void attention_merge_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm, Tensor& dt) {
  backward("attention_merge", /*offset=*/1.0f, dy, m, t, dm, dt);
}

void attention_merge_naive_forward(const Tensor& m, const Tensor& t, Tensor& y) {
  forward("attention_merge_naive", /*offset=*/0.0f, m, t, y);
}

void attention_merge_naive_backward(const Tensor& dy, const Tensor& m, const Tensor& t, Tensor& dm,
                                    Tensor& dt) {
  backward("attention_merge_naive", /*offset=*/0.0f, dy, m, t, dm, dt);
}

}  // namespace fovea::kernels::cuda
