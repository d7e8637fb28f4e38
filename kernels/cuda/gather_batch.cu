#include "fovea/kernels/gather_batch.h"

#include "fovea/kernels/cuda/convert.h"
#include "fovea/kernels/cuda/launch.h"

namespace fovea::kernels::cuda {
namespace {

using cuda::from_float;

/// What a batch is made of, in device memory; mixing is null where images are not mixed.
struct Source {
  const uint8_t* images;
  const int32_t* labels;
  const int64_t* order;
  const int64_t* position;
  const int64_t* epoch;
  const float* values;
  const float* mixing;
  int H, W, C;
};

/// The labels of the batch, likewise.
struct Labels {
  int32_t* own;
  int32_t* partners;
  float* weight;
};

/// Number (row, column, c) of an image as it is varied.
__device__ float varied(const Source& source, const uint8_t* image, const Variation& variation, int row,
                        int column, int c) {
  const int h = row + variation.top;
  const int w = (variation.flip ? source.W - 1 - column : column) + variation.left;
  const bool is_inside =
      h >= 0 && h < source.H && w >= 0 && w < source.W && !variation.is_in_hole(row, column);
  return is_inside ? source.values[c * 256 + image[(h * source.W + w) * source.C + c]] : 0.0f;
}

/// A block makes one image of the batch: its first thread draws the variation, of the partner's, too, where
/// images are mixed; then each thread takes numbers of the image in turn. Bytes are read once, the table from
/// the cache, the image is written once.
template <bool kIsMixed, class T>
__global__ void gather_batch_kernel(Source source, BatchSettings settings, T* x, Labels y) {
  FOVEA_SHARED(Variation, shared_variations, 2);
  const int64_t b = blockIdx.x, B = gridDim.x * settings.shares, first = gridDim.x * settings.share;
  const int64_t* indices = source.order + *source.position * B;
  const int64_t index = indices[first + b], partner = indices[B - 1 - first - b];
  if (threadIdx.x == 0) {
    shared_variations[0] = draw_variation(settings, *source.epoch, index, source.H, source.W);
    y.own[b] = source.labels[index];
    if (kIsMixed) {
      shared_variations[1] = draw_variation(settings, *source.epoch, partner, source.H, source.W);
      y.partners[b] = source.labels[partner];
    }
  }
  Mix mix{};
  if (kIsMixed) {
    mix = Mix::of(source.mixing + *source.position * kMixNumbers);
    if (b == 0 && threadIdx.x == 0) *y.weight = mix.weight;
  }
  __syncthreads();
  const Variation variation = shared_variations[0];
  const int size = source.H * source.W * source.C;
  const uint8_t *image = source.images + index * size, *partner_image = source.images + partner * size;
  T* out = x + b * size;
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x)) {
    const int c = i % source.C, column = i / source.C % source.W, row = i / source.C / source.W;
    float value = varied(source, image, variation, row, column, c);
    if (kIsMixed) {
      const float other = varied(source, partner_image, shared_variations[1], row, column, c);
      if (mix.blend < 1) value = fmaf(mix.blend, value - other, other);
      if (mix.takes_partner(row, column)) value = other;
    }
    out[i] = from_float<T>(value);
  }
}

/// A thread takes numbers of the targets in turn.
__global__ void mixed_targets_kernel(int64_t count, int C, const int32_t* own, const int32_t* partners,
                                     const float* own_weight, float sure, float rest, float* targets) {
  const float weight = *own_weight;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t b = i / C;
    const int c = static_cast<int>(i % C);
    const float share = (own[b] == c ? weight : 0.0f) + (partners[b] == c ? 1 - weight : 0.0f);
    targets[i] = fmaf(sure, share, rest);
  }
}

}  // namespace

void gather_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const Tensor& position,
                  const Tensor& epoch, const Tensor& values, const Tensor& mixing,
                  const BatchSettings& settings, Tensor& x, BatchLabels& y) {
  if (x.size() == 0) return;
  const bool is_mixed = mixing.defined();
  const Source source{images.data<uint8_t>(),
                      labels.data<int32_t>(),
                      order.data<int64_t>(),
                      position.data<int64_t>(),
                      epoch.data<int64_t>(),
                      values.data<float>(),
                      is_mixed ? mixing.data<float>() : nullptr,
                      static_cast<int>(x.shape(1)),
                      static_cast<int>(x.shape(2)),
                      static_cast<int>(x.shape(3))};
  const Labels out{y.own.data<int32_t>(), is_mixed ? y.partners.data<int32_t>() : nullptr,
                   is_mixed ? y.weight.data<float>() : nullptr};
  visit_device_floating("gather_batch", x.dtype(), [&]<class T>() {
    launch("gather_batch", is_mixed ? gather_batch_kernel<true, T> : gather_batch_kernel<false, T>,
           Grid{dim3(static_cast<unsigned>(x.shape(0))), dim3(256)}, source, settings, x.data<T>(), out);
  });
}

void mixed_targets(const BatchLabels& labels, double smoothing, Tensor& targets) {
  if (targets.size() == 0) return;
  const auto C = static_cast<float>(targets.shape(1));
  launch("mixed_targets", mixed_targets_kernel, grid_for(targets.size()), targets.size(),
         static_cast<int>(targets.shape(1)), labels.own.data<int32_t>(), labels.partners.data<int32_t>(),
         labels.weight.data<float>(), static_cast<float>(1 - smoothing), static_cast<float>(smoothing) / C,
         targets.data<float>());
}

}  // namespace fovea::kernels::cuda
