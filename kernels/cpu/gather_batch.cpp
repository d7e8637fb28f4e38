#include "fovea/kernels/gather_batch.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fovea/core/parallel_for.h"

namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT {
namespace {

/// The images that a batch is made of, and how.
struct Source {
  const uint8_t* images;
  const float* values;
  const BatchSettings& settings;
  int64_t epoch, H, W, C;

  int64_t image_size() const { return H * W * C; }
  /// Image `index` as it is varied in the epoch -> out: [H, W, C]
  template <class T>
  void crop(int64_t index, T* out) const {
    const Variation variation = draw_variation(settings, epoch, index, H, W);
    const uint8_t* const image = images + index * image_size();
    // Columns of the crop inside the image:
    const int64_t begin = std::clamp<int64_t>(-variation.left, 0, W);
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
      clear(variation.cut_out, h, out);
      clear(variation.erased, h, out);
    }
  }

 private:
  /// What of the hole lies in row h.
  template <class T>
  void clear(const Rectangle& hole, int64_t h, T* row) const {
    if (h < hole.top || h >= hole.top + hole.height) return;
    const int64_t begin = std::clamp<int64_t>(hole.left, 0, W);
    const int64_t end = std::clamp<int64_t>(hole.left + hole.width, 0, W);
    std::fill(row + begin * C, row + end * C, T(0.0f));
  }
};

/// own, partner -> out: [H, W, C]
template <class T>
void blend(const Mix& mix, const Source& source, const float* own, const float* partner, T* out) {
  for (int h = 0; h < source.H; ++h) {
    for (int w = 0; w < source.W; ++w) {
      const bool is_partner = mix.takes_partner(h, w);
      for (int64_t c = 0; c < source.C; ++c, ++own, ++partner, ++out) {
        const float blended = mix.blend < 1 ? std::fma(mix.blend, *own - *partner, *partner) : *own;
        *out = T(is_partner ? *partner : blended);
      }
    }
  }
}

}  // namespace

void gather_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const Tensor& position,
                  const Tensor& epoch, const Tensor& values, const Tensor& mixing,
                  const BatchSettings& settings, Tensor& x, BatchLabels& y) {
  const int64_t own = x.shape(0), all = own * settings.shares, first = own * settings.share;
  const int64_t batch = position.data<int64_t>()[0];
  const int64_t* const indices = order.data<int64_t>() + batch * all;
  const auto index_of = [&](int64_t b) { return indices[first + b]; };
  const auto partner_of = [&](int64_t b) { return indices[all - 1 - first - b]; };
  const Source source{images.data<uint8_t>(),
                      values.data<float>(),
                      settings,
                      epoch.data<int64_t>()[0],
                      x.shape(1),
                      x.shape(2),
                      x.shape(3)};
  const int64_t size = source.image_size();
  const int32_t* in_labels = labels.data<int32_t>();
  for (int64_t b = 0; b < own; ++b) y.own.data<int32_t>()[b] = in_labels[index_of(b)];
  if (!mixing.defined()) {
    visit_floating("gather_batch", x.dtype(), [&]<class T>() {
      T* out = x.data<T>();
      parallel_for(own, /*grain=*/8, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) source.crop(index_of(b), out + b * size);
      });
    });
    return;
  }
  const Mix mix = Mix::of(mixing.data<float>() + batch * kMixNumbers);
  y.weight.data<float>()[0] = mix.weight;
  for (int64_t b = 0; b < own; ++b) y.partners.data<int32_t>()[b] = in_labels[partner_of(b)];
  visit_floating("gather_batch", x.dtype(), [&]<class T>() {
    T* out = x.data<T>();
    // A pair of partners at a time, where both are of this share; the one in the middle is its own.
    const bool has_both = settings.shares == 1;
    parallel_for(has_both ? (own + 1) / 2 : own, /*grain=*/4, [&](int64_t begin, int64_t end) {
      std::vector<float> image(static_cast<size_t>(size)), partner(image.size());
      for (int64_t b = begin; b < end; ++b) {
        source.crop(index_of(b), image.data());
        source.crop(partner_of(b), partner.data());
        blend(mix, source, image.data(), partner.data(), out + b * size);
        if (has_both) blend(mix, source, partner.data(), image.data(), out + (own - 1 - b) * size);
      }
    });
  });
}

void mixed_targets(const BatchLabels& labels, double smoothing, Tensor& targets) {
  const int64_t B = targets.shape(0), C = targets.shape(1);
  const int32_t *own = labels.own.data<int32_t>(), *partners = labels.partners.data<int32_t>();
  const float weight = labels.weight.data<float>()[0];
  const float sure = static_cast<float>(1 - smoothing),
              rest = static_cast<float>(smoothing) / static_cast<float>(C);
  float* out = targets.data<float>();
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t c = 0; c < C; ++c, ++out) {
      const float share = (own[b] == c ? weight : 0.0f) + (partners[b] == c ? 1 - weight : 0.0f);
      *out = std::fma(sure, share, rest);
    }
  }
}

}  // namespace fovea::kernels::cpu::FOVEA_CPU_VARIANT
