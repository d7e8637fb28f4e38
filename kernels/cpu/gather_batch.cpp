#include "fovea/kernels/gather_batch.h"

#include <algorithm>

#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu {
namespace {

/// image: u8 [H, W, C] -> out: [H, W, C]
template <class T>
void crop(const uint8_t* image, int64_t H, int64_t W, int64_t C, const float* values,
          const Variation& variation, int64_t cutout, T* out) {
  const int64_t begin = std::clamp<int64_t>(-variation.left, 0, W);  // columns of the crop inside the image
  const int64_t end = std::clamp<int64_t>(W - variation.left, 0, W);
  for (int64_t h = 0; h < H; ++h, out += W * C) {
    const int64_t from_h = h + variation.top;
    std::fill_n(out, W * C, T(0.0f));
    if (from_h < 0 || from_h >= H) continue;
    const uint8_t* from = image + (from_h * W + begin + variation.left) * C;
    for (int64_t w = begin; w < end; ++w, from += C) {
      T* pixel = out + (variation.flip ? W - 1 - w : w) * C;
      for (int64_t c = 0; c < C; ++c) pixel[c] = T(values[c * 256 + from[c]]);
    }
    if (h < variation.hole_top || h >= variation.hole_top + cutout) continue;
    const int64_t hole_begin = std::clamp<int64_t>(variation.hole_left, 0, W);
    const int64_t hole_end = std::clamp<int64_t>(variation.hole_left + cutout, 0, W);
    std::fill(out + hole_begin * C, out + hole_end * C, T(0.0f));
  }
}

}  // namespace

void gather_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const Tensor& position,
                  const Tensor& epoch, const Tensor& values, const BatchSettings& settings, Tensor& x,
                  Tensor& y) {
  const int64_t B = x.shape(0), H = x.shape(1), W = x.shape(2), C = x.shape(3);
  const int64_t* indices = order.data<int64_t>() + position.data<int64_t>()[0] * B;
  const int64_t epoch_number = epoch.data<int64_t>()[0];
  const uint8_t* in = images.data<uint8_t>();
  const int32_t* in_labels = labels.data<int32_t>();
  const float* table = values.data<float>();
  int32_t* out_labels = y.data<int32_t>();
  visit_floating("gather_batch", x.dtype(), [&]<class T>() {
    T* out = x.data<T>();
    parallel_for(B, /*grain=*/8, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t index = indices[b];
        crop(in + index * H * W * C, H, W, C, table, draw_variation(settings, epoch_number, index, H, W),
             settings.cutout, out + b * H * W * C);
        out_labels[b] = in_labels[index];
      }
    });
  });
}

}  // namespace fovea::kernels::cpu
