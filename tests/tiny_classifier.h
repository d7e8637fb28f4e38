#pragma once

#include <memory>
#include <string>
#include <utility>

#include "fovea/core/random.h"
#include "fovea/layers/linear.h"
#include "fovea/layers/residual_unit.h"
#include "fovea/training/classifier.h"

namespace fovea::test {

inline constexpr int64_t kTinyClasses = 3;

/// A convolution, a residual unit, BN-ReLU, average, linear: all that a network of the family is trained by,
/// in under 200 numbers.
struct TinyModel : Model {
  explicit TinyModel(uint64_t seed) : TinyModel(Rng(seed)) {}

  Variable forward(const Variable& x) override {
    const Variable y = unit.forward(stem.forward(x));                // [N, H/2, W/2, 8]
    return linear.forward(F::global_average(norm.forward_relu(y)));  // [N, 3]
  }

  void visit(Visitor& v) override {
    v("stem", stem);
    v("unit", unit);
    v("norm", norm);
    v("linear", linear);
  }

  Conv stem;
  ResidualUnit unit;
  BatchNorm norm;
  Linear linear;

 private:
  explicit TinyModel(Rng rng)
      : stem(3, 4, /*kernel=*/3, /*stride=*/1, /*padding=*/1, rng),
        unit(4, 8, /*stride=*/2, rng),
        norm(8),
        linear(8, kTinyClasses, rng) {}
};

/// Noise of 8x8 pixels in which the channel of the image's class is brighter.
inline ImageSet tiny_images(int64_t count, uint64_t seed) {
  ImageSet set{"tiny",
               Tensor::empty({count, 8, 8, 3}, Dtype::u8),
               Tensor::empty({count}, Dtype::i32),
               {"red", "green", "blue"}};
  Random random(seed, Purpose::test);
  for (int64_t n = 0; n < count; ++n) {
    const auto label = static_cast<int32_t>(random.below(kTinyClasses));
    set.labels.data<int32_t>()[n] = label;
    for (int64_t i = 0; i < 8 * 8 * 3; ++i) {
      const uint32_t bright = i % 3 == label ? 60 : 0;
      set.images.data<uint8_t>()[n * 8 * 8 * 3 + i] = static_cast<uint8_t>(random.below(190) + bright);
    }
  }
  return set;
}

inline Classifier tiny_classifier(uint64_t seed) {
  return Classifier(std::make_unique<TinyModel>(seed), {{0.45f, 0.45f, 0.45f}, {0.25f, 0.25f, 0.25f}},
                    {{"model", "tiny"}});
}

/// Three epochs of four batches for 35 images: the last three images of an epoch are left out.
inline TrainingSettings tiny_settings() {
  TrainingSettings settings;
  settings.epochs = 3;
  settings.batch_size = 8;
  settings.augmentation = Augmentation{.padding = 1, .flip = true};
  settings.seed = 7;
  return settings;
}

/// Those with an optimiser: with muon also averages, clipping and all that is done to images.
inline TrainingSettings tiny_settings(OptimiserKind kind) {
  TrainingSettings settings = tiny_settings();
  settings.optimiser.kind = kind;
  settings.label_smoothing = 0.1;
  settings.evaluation_batch_size = 5;
  settings.schedule.kind = kind == OptimiserKind::sgd ? ScheduleKind::one_cycle : ScheduleKind::cosine;
  if (kind != OptimiserKind::muon) return settings;
  settings.ema_decay = 0.6;
  settings.optimiser.clip_norm = 0.5;
  settings.augmentation =
      Augmentation{.padding = 1, .cutout = 2, .random_erasing = 0.5, .mixup = 1, .cutmix = 1};
  return settings;
}

}  // namespace fovea::test
