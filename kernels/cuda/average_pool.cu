#include "fovea/kernels/average_pool.h"

#include "fovea/kernels/cuda/pack.h"
#include "fovea/kernels/cuda/pool_window.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::ImagePacks, cuda::PackPosition, cuda::PoolWindow, cuda::IntInterval;

/// y = (sum of x over a rectangle of pixels) * scale for each pixel of y: forward over the window of an
/// output, backward over the windows that cover an input. A thread makes a pack of channels of one pixel of
/// y: reads its rectangle, of which its neighbours read some too, and writes y once.
template <int kWidth, bool kIsBackward, class T>
__global__ void __launch_bounds__(ImagePacks::kThreads, ImagePacks::kBlocks)
    average_pool_kernel(ImagePacks packs, PoolWindow window, int H, int W, int64_t C, float scale, const T* x,
                        T* y) {
  const auto number = static_cast<unsigned>(cuda::grid_thread());
  if (number >= packs.count()) return;
  const PackPosition place = packs.place(number);
  const int i = static_cast<int>(place.h), j = static_cast<int>(place.w);
  const IntInterval rows = kIsBackward ? window.outputs_of(i, H) : window.inputs_of(i, H);
  const IntInterval columns = kIsBackward ? window.outputs_of(j, W) : window.inputs_of(j, W);
  const T* const image = x + int64_t{place.n} * H * W * C + place.pack * kWidth;
  cuda::Floats<kWidth> sum{};
  for (int h = rows.begin; h < rows.end; ++h) {
    for (int w = columns.begin; w < columns.end; ++w) {
      const auto values = cuda::load<kWidth>(image + (int64_t{h} * W + w) * C);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) sum[k] += values[k];
    }
  }
#pragma unroll
  for (int k = 0; k < kWidth; ++k) sum[k] *= scale;
  cuda::store<kWidth>(y + int64_t{number} * kWidth, sum);
}

template <bool kIsBackward>
void average(const Tensor& x, const Window& window, Tensor& y) {
  if (y.size() == 0) return;
  const int64_t C = x.shape(3);
  cuda::visit_device_floating("average_pool", x.dtype(), [&]<class T>() {
    const auto run = [&]<int kWidth>() {
      const ImagePacks packs("average_pool", y.shape(), kWidth);
      cuda::launch("average_pool", average_pool_kernel<kWidth, kIsBackward, T>, packs.grid(), packs,
                   PoolWindow(window), x.shape(1), x.shape(2), C,
                   1.0f / static_cast<float>(window.size * window.size), x.data<T>(), y.data<T>());
    };
    cuda::visit_width<T>(C, run, x.data<T>(), y.data<T>());
  });
}

}  // namespace

void average_pool_forward(const Tensor& x, const Window& window, Tensor& y) {
  average</*kIsBackward=*/false>(x, window, y);
}

void average_pool_backward(const Tensor& dy, const Window& window, Tensor& dx) {
  average</*kIsBackward=*/true>(dy, window, dx);
}

}  // namespace fovea::kernels::cuda
