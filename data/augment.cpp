#include "fovea/data/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "fovea/core/check.h"

namespace fovea {
namespace {

/// Of the distribution Gamma(shape, 1): Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000.
double draw_gamma(double shape, Random& random) {
  if (shape < 1) {
    const double root = std::pow(random.uniform(), 1 / shape);
    return draw_gamma(shape + 1, random) * root;
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal(), u = random.uniform();
    const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    if (v > 0 && std::log(u) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

/// Of the distribution Beta(alpha, alpha).
double draw_beta(double alpha, Random& random) {
  const double a = draw_gamma(alpha, random), b = draw_gamma(alpha, random);
  return a + b > 0 ? a / (a + b) : 1;  // of a tiny alpha both can be too small for a double
}

kernels::Mix draw_mix(const Augmentation& augmentation, int64_t H, int64_t W, Random random) {
  const bool is_coin_heads = (random.next() & 1u) != 0;
  const bool is_cutmix = augmentation.mixup == 0 || (augmentation.cutmix > 0 && is_coin_heads);
  const double share = draw_beta(is_cutmix ? augmentation.cutmix : augmentation.mixup, random);
  const auto own = static_cast<float>(share);
  if (!is_cutmix) return {own, own, 0, 0, 0, 0};
  // The rectangle has the image's form, a random middle, and ends at the image's edge.
  const double side = std::sqrt(1 - share);
  const auto extent = [&](int64_t size, float& begin, float& length) {
    const auto half = static_cast<int64_t>(static_cast<double>(size) * side) / 2;
    const auto middle = static_cast<int64_t>(random.below(static_cast<uint32_t>(size)));
    const int64_t first = std::max<int64_t>(0, middle - half), last = std::min(size, middle + half);
    begin = static_cast<float>(first);
    length = static_cast<float>(last - first);
  };
  kernels::Mix mix{1, 0, 0, 0, 0, 0};
  extent(H, mix.top, mix.height);
  extent(W, mix.left, mix.width);
  mix.weight = 1 - mix.height * mix.width / static_cast<float>(H * W);
  return mix;
}

}  // namespace

Batch empty_batch(const Shape& images, Dtype dtype, Device device, bool is_mixed) {
  const Shape labels{images[0]};
  Batch batch{Tensor::empty(images, dtype, device), Tensor::empty(labels, Dtype::i32, device)};
  if (is_mixed) {
    batch.partners = Tensor::empty(labels, Dtype::i32, device);
    batch.label_weight = Tensor::empty({}, Dtype::f32, device);
  }
  return batch;
}

bool is_mixed(const std::optional<Augmentation>& augmentation) {
  return augmentation && (augmentation->mixup > 0 || augmentation->cutmix > 0);
}

Batch part_of(const Batch& batch, int64_t first, int64_t count) {
  const Shape& shape = batch.images.shape();
  const auto labels = [&](const Tensor& all) { return all.defined() ? all.slice(first, {count}) : all; };
  return {batch.images.slice(first * shape[1] * shape[2] * shape[3], {count, shape[1], shape[2], shape[3]}),
          labels(batch.labels), labels(batch.partners), batch.label_weight};
}

kernels::BatchLabels batch_labels(const Batch& batch) {
  return {batch.labels, batch.partners, batch.label_weight};
}

Tensor normalised_bytes(const ImageNormalisation& normalisation) {
  Tensor values = Tensor::empty({3, 256});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t byte = 0; byte < 256; ++byte) {
      values.data<float>()[c * 256 + byte] =
          (static_cast<float>(byte) / 255.0f - normalisation.mean[c]) / normalisation.deviation[c];
    }
  }
  return values;
}

kernels::BatchSettings batch_settings(const std::optional<Augmentation>& augmentation, uint64_t seed,
                                      int64_t share, int64_t shares) {
  if (!augmentation) return {.seed = seed, .share = share, .shares = shares};
  return {.is_augmented = true,
          .padding = augmentation->padding,
          .flip = augmentation->flip,
          .alternating_flip = augmentation->alternating_flip,
          .cutout = augmentation->cutout,
          .erasing = static_cast<uint64_t>(std::llround(augmentation->random_erasing * 0x1p32)),
          .seed = seed,
          .share = share,
          .shares = shares};
}

Tensor draw_mixing(const std::optional<Augmentation>& augmentation, uint64_t seed, int64_t epoch,
                   int64_t first, int64_t count, int64_t H, int64_t W) {
  if (!is_mixed(augmentation)) return {};
  Tensor mixing = Tensor::empty({count, kernels::kMixNumbers});
  for (int64_t i = 0; i < count; ++i) {
    const kernels::Mix mix = draw_mix(
        *augmentation, H, W,
        Random(seed, Purpose::mixing, static_cast<uint32_t>(epoch), static_cast<uint32_t>(first + i)));
    std::memcpy(mixing.data<float>() + i * kernels::kMixNumbers, &mix, sizeof mix);
  }
  return mixing;
}

void check_images(const ImageSet& set, const std::optional<Augmentation>& augmentation) {
  const Tensor &images = set.images, &labels = set.labels;
  check(images.defined() && images.dtype() == Dtype::u8 && images.rank() == 4 && images.shape(3) == 3 &&
            labels.defined() && labels.dtype() == Dtype::i32 && labels.shape() == Shape{images.shape(0)},
        "make_batch: images are ", images, " and labels ", labels, ", wanted u8[N, H, W, 3] and i32[N]");
  const int64_t H = images.shape(1), W = images.shape(2);
  if (augmentation) {
    check<UsageError>(augmentation->padding >= 0 && augmentation->padding <= std::min(H, W),
                      "make_batch: padding is ", augmentation->padding, ", wanted 0 to ", std::min(H, W),
                      " for images of ", H, "x", W);
    check<UsageError>(augmentation->cutout >= 0 && augmentation->cutout < 2 * std::min(H, W),
                      "make_batch: cutout is ", augmentation->cutout, ", wanted 0 to ",
                      2 * std::min(H, W) - 1, " for images of ", H, "x", W,
                      ", of which a larger square leaves nothing");
  }
}

Batch make_batch(const ImageSet& set, std::span<const int64_t> indices,
                 const ImageNormalisation& normalisation, const std::optional<Augmentation>& augmentation,
                 uint64_t seed, uint32_t epoch, int64_t batch_number, int64_t share, int64_t shares) {
  check_images(set, augmentation);
  const Tensor& images = set.images;
  const int64_t N = images.shape(0), H = images.shape(1), W = images.shape(2), B = std::ssize(indices);
  for (const int64_t index : indices) {
    check(index >= 0 && index < N, "make_batch: index ", index, " in a set of ", N, " images");
  }
  const Tensor mixing = draw_mixing(augmentation, seed, epoch, batch_number, /*count=*/1, H, W);
  Batch batch = empty_batch({B / shares, H, W, 3}, Dtype::f32, Device::cpu(), mixing.defined());
  const Tensor order = Tensor::from<int64_t>({indices.begin(), indices.end()}, {B});
  const Tensor position = Tensor::zeros({}, Dtype::i64), epoch_number = Tensor::from<int64_t>({epoch}, {});
  kernels::BatchLabels labels = batch_labels(batch);
  kernels::gather_batch(images, set.labels, order, position, epoch_number, normalised_bytes(normalisation),
                        mixing, batch_settings(augmentation, seed, share, shares), batch.images, labels);
  return batch;
}

}  // namespace fovea
