#include "fovea/kernels/cuda/add_bias.h"

#include "fovea/kernels/cuda/launch.h"
#include "fovea/kernels/cuda/pack.h"

namespace fovea::kernels::cuda {
namespace {

/// A thread takes a pack of neighbouring channels at a time; reads and writes y once.
template <int kWidth, class T>
__global__ void add_bias_kernel(int64_t count, int64_t K, const T* bias, T* y) {
  for (int64_t i = grid_thread() * kWidth; i < count; i += grid_threads() * kWidth) {
    Floats<kWidth> sum = load<kWidth>(y + i);
    const Floats<kWidth> addend = load<kWidth>(bias + i % K);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] += addend[k];
    store<kWidth>(y + i, sum);
  }
}

}  // namespace

void add_bias(const char* operation, const Tensor& bias, Tensor& y) {
  const int64_t K = bias.size();
  if (y.size() == 0) return;
  visit_device_floating(operation, y.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      launch(operation, add_bias_kernel<kWidth, T>, grid_for(y.size() / kWidth), y.size(), K, bias.data<T>(),
             y.data<T>());
    };
    visit_width<T>(K, run, y.data<T>(), bias.data<T>());
  });
}

}  // namespace fovea::kernels::cuda
