#include "fovea/kernels/gather_batch.h"

#include "bench.h"
#include "random_labels.h"

namespace fovea::bench {
namespace {

void batches(Benchmark* benchmark) {
  benchmark->ArgName("B")->Arg(128)->Arg(1024)->Unit(benchmark::kMicrosecond);
}

// From as many images as CIFAR-10 has to train with, in a random order.
void make_batches(benchmark::State& state, const Tensor& mixing) {
  constexpr int64_t kImages = 50000, H = 32, C = 3;
  const int64_t B = state.range(0);
  Random random(/*seed=*/1, Purpose::test);
  Tensor images = Tensor::empty({kImages, H, H, C}, Dtype::u8), order = Tensor::empty({kImages}, Dtype::i64);
  for (int64_t i = 0; i < images.size(); i += 4) {
    const uint32_t bits = random.next();
    for (int64_t byte = 0; byte < 4; ++byte) {
      images.data<uint8_t>()[i + byte] = static_cast<uint8_t>(bits >> (8 * byte));
    }
  }
  for (int64_t i = 0; i < kImages; ++i) {
    order.data<int64_t>()[i] = static_cast<int64_t>(random.below(static_cast<uint32_t>(kImages)));
  }
  images = images.to(settings().device);
  order = order.to(settings().device);
  const Tensor labels = random_labels(kImages, 10, settings().device);
  const Tensor values = random_f32({C, 256}, 1);
  const Tensor position = zeros({}, Dtype::i64), epoch = zeros({}, Dtype::i64);
  Tensor x = zeros({B, H, H, C});
  kernels::BatchLabels y{zeros({B}, Dtype::i32), zeros({B}, Dtype::i32), zeros({}, Dtype::f32)};
  const kernels::BatchSettings batch{.is_augmented = true, .padding = 4, .flip = true, .seed = 1};
  measure(state, static_cast<size_t>(x.size()) + x.bytes(), [&] {
    kernels::gather_batch(images, labels, order, position, epoch, values, mixing, batch, x, y);
  });
}

void gather_batch(benchmark::State& state) {
  make_batches(state, Tensor());
}
FOVEA_BENCH(gather_batch, batches);

// With half of each image from its partner.
void gather_batch_mixed(benchmark::State& state) {
  make_batches(state, Tensor::full({1, kernels::kMixNumbers}, 0.5, Dtype::f32, settings().device));
}
FOVEA_BENCH(gather_batch_mixed, batches);

void mixed_targets(benchmark::State& state) {
  const int64_t B = state.range(0);
  const kernels::BatchLabels labels{random_labels(B, 10, settings().device),
                                    random_labels(B, 10, settings().device),
                                    Tensor::full({}, 0.5, Dtype::f32, settings().device)};
  Tensor targets = zeros({B, 10}, Dtype::f32);
  measure(state, targets.bytes(), [&] { kernels::mixed_targets(labels, /*smoothing=*/0.1, targets); });
}
FOVEA_BENCH(mixed_targets, batches);

}  // namespace
}  // namespace fovea::bench
