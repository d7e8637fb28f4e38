#include "fovea/kernels/clip_gradient.h"

#include "fovea/kernels/cuda/block_reduce.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

constexpr int kThreads = 256;
static_assert(kSquareSums == kThreads);  // a thread of clip_scale for each

/// A block adds the squares of one chunk: a thread takes every kThreads-th number.
template <class T>
__global__ void __launch_bounds__(kThreads) square_sums_kernel(int64_t size, const T* x, float* sums) {
  const int64_t chunk = (size + kSquareSums - 1) / kSquareSums;
  const int64_t begin = blockIdx.x * chunk, end = begin + chunk < size ? begin + chunk : size;
  float sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const float number = cuda::to_float(x[i]);
    sum += number * number;
  }
  sum = cuda::block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] += sum;
}

/// The one block adds the sums, and its first thread writes the scale.
__global__ void __launch_bounds__(kThreads)
    clip_scale_kernel(const float* sums, const float* gradient_scale, float most, float* scale) {
  const float sum = cuda::block_sum<kThreads>(sums[threadIdx.x]);
  if (threadIdx.x != 0) return;
  const float before = gradient_scale != nullptr ? *gradient_scale : 1.0f;
  *scale = before * fminf(1.0f, most / (before * sqrtf(sum) + 1e-6f));
}

}  // namespace

void square_sums(const Tensor& x, Tensor& sums) {
  check(sums.dtype() == Dtype::f32, "square_sums: the sums are ", sums, ", wanted f32 on a CUDA device");
  visit_device_floating("square_sums", x.dtype(), [&]<class T>() {
    launch("square_sums", square_sums_kernel<T>, Grid{dim3(kSquareSums), dim3(kThreads)}, x.size(),
           x.data<T>(), sums.data<float>());
  });
}

void clip_scale(const Tensor& sums, const Tensor& gradient_scale, double most, Tensor& scale) {
  check(sums.dtype() == Dtype::f32, "clip_scale: the sums are ", sums, ", wanted f32 on a CUDA device");
  launch("clip_scale", clip_scale_kernel, Grid{dim3(1), dim3(kThreads)}, sums.data<float>(),
         gradient_scale.defined() ? gradient_scale.data<float>() : nullptr, static_cast<float>(most),
         scale.data<float>());
}

}  // namespace fovea::kernels::cuda
