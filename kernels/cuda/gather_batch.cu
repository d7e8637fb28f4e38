#include "fovea/kernels/gather_batch.h"

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::from_float;

/// A block makes one image of the batch: its first thread draws the variation, then each thread takes numbers
/// of the image in turn. Bytes are read once, the table from the cache, the image is written once.
template <class T>
__global__ void gather_batch_kernel(const uint8_t* images, const int32_t* labels, const int64_t* order,
                                    const int64_t* position, const int64_t* epoch, const float* values,
                                    BatchSettings settings, int H, int W, int C, T* x, int32_t* y) {
  FOVEA_SHARED(Variation, shared_variation, 1);
  const int64_t b = blockIdx.x;
  const int64_t index = order[*position * gridDim.x + b];
  if (threadIdx.x == 0) {
    shared_variation[0] = draw_variation(settings, *epoch, index, H, W);
    y[b] = labels[index];
  }
  __syncthreads();
  const Variation variation = shared_variation[0];
  const int size = H * W * C;
  const uint8_t* image = images + index * size;
  T* out = x + b * size;
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x)) {
    const int c = i % C, column = i / C % W, row = i / C / W, h = row + variation.top;
    const int w = (variation.flip ? W - 1 - column : column) + variation.left;
    const bool is_inside =
        h >= 0 && h < H && w >= 0 && w < W && !variation.is_in_hole(row, column, settings.cutout);
    out[i] = from_float<T>(is_inside ? values[c * 256 + image[(h * W + w) * C + c]] : 0.0f);
  }
}

}  // namespace

void gather_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const Tensor& position,
                  const Tensor& epoch, const Tensor& values, const BatchSettings& settings, Tensor& x,
                  Tensor& y) {
  if (x.size() == 0) return;
  visit_device_floating("gather_batch", x.dtype(), [&]<class T>() {
    launch("gather_batch", gather_batch_kernel<T>, Grid{dim3(static_cast<unsigned>(x.shape(0))), dim3(256)},
           images.data<uint8_t>(), labels.data<int32_t>(), order.data<int64_t>(), position.data<int64_t>(),
           epoch.data<int64_t>(), values.data<float>(), settings, static_cast<int>(x.shape(1)),
           static_cast<int>(x.shape(2)), static_cast<int>(x.shape(3)), x.data<T>(), y.data<int32_t>());
  });
}

}  // namespace fovea::kernels::cuda
