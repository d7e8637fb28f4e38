#include "fovea/kernels/training_counters.h"

#include "bench.h"

namespace fovea::bench {
namespace {

// Kernels of a handful of numbers: what counts is that they are few.
void epoch(Benchmark* benchmark) {
  benchmark->ArgName("steps")->Arg(390)->Unit(benchmark::kMicrosecond);
}

void begin_step(benchmark::State& state) {
  const Tensor rates = random_f32({state.range(0)}, 1), position = zeros({}, Dtype::i64);
  Tensor rate = zeros({}, Dtype::f32);
  measure(state, 16, [&] { kernels::begin_step(rates, position, rate); });
}
FOVEA_BENCH(begin_step, epoch);

// The position goes on with every call, so it is set back each time: two kernels.
void record_step(benchmark::State& state) {
  const Tensor loss = random_f32({}, 1), zero = zeros({}, Dtype::i64);
  Tensor position = zeros({}, Dtype::i64), losses = zeros({state.range(0)}, Dtype::f32);
  Tensor failures = zeros({state.range(0)}, Dtype::i64), corrects = zeros({state.range(0)}, Dtype::i64);
  measure(state, 64, [&] {
    position.copy_from(zero);
    kernels::record_step(loss, zero, zero, position, losses, failures, corrects);
  });
}
FOVEA_BENCH(record_step, epoch);

void count_step(benchmark::State& state) {
  const Tensor non_finite = zeros({}, Dtype::i64);
  Tensor steps = zeros({}, Dtype::i64);
  measure(state, 24, [&] { kernels::count_step(non_finite, steps); });
}
FOVEA_BENCH(count_step, epoch);

void settle_step(benchmark::State& state) {
  const Tensor non_finite = zeros({}, Dtype::i64);
  Tensor statistics = zeros({state.range(0)}, Dtype::f32), before = zeros({state.range(0)}, Dtype::f32);
  measure(state, 8 + 8 * static_cast<size_t>(state.range(0)),
          [&] { kernels::settle_step(non_finite, statistics, before); });
}
FOVEA_BENCH(settle_step, epoch);

void update_loss_scale(benchmark::State& state) {
  Tensor scale = Tensor::full({}, 1, Dtype::f32, settings().device), inverse = Tensor::zeros_like(scale);
  const Tensor non_finite_losses = zeros({}, Dtype::i64);
  Tensor good_steps = zeros({}, Dtype::i64), non_finite = zeros({}, Dtype::i64);
  measure(state, 48, [&] {
    kernels::update_loss_scale(/*patience=*/int64_t{1} << 60, non_finite_losses, scale, inverse, good_steps,
                               non_finite);
  });
}
FOVEA_BENCH(update_loss_scale, epoch);

}  // namespace
}  // namespace fovea::bench
