#include "train_step.h"

#include "bench.h"

namespace fovea::bench {
namespace {

Precision precision() {
  switch (settings().dtype) {
    case Dtype::bf16: return Precision::bf16;
    case Dtype::f16: return Precision::f16;
    default: return tf32_allowed() ? Precision::tf32 : Precision::f32;
  }
}

void run_steps(benchmark::State& state, const char* model, bool training) {
  constexpr int64_t kReplays = 10;  // between two waits for a CUDA device
  StepTimer timer(model, state.range(0), training, settings().device, precision());
  timer.seconds_of(2);  // plans convolutions, fills the allocator's cache, captures
  if (settings().device.is_cpu()) {
    add_quality(state, seconds_in_parts(state, [&] { timer.run(); }));
    benchmark::DoNotOptimize(timer.result());
    state.counters["images/s"] = benchmark::Counter(static_cast<double>(state.range(0)),
                                                    benchmark::Counter::kIsIterationInvariantRate);
    return;
  }
  for (auto _ : state) {
    std::vector<double> samples;
    const double seconds = median_of([&] { return samples.emplace_back(timer.seconds_of(kReplays)); });
    state.SetIterationTime(seconds);
    state.counters["images/s"] = static_cast<double>(state.range(0)) / seconds;
    add_quality(state, samples);
  }
}

void batch_sizes(Benchmark* benchmark) {
  benchmark->ArgName("N")->Arg(32)->Arg(64)->Arg(128)->Unit(benchmark::kMillisecond);
  if (settings().device.is_cuda()) benchmark->Arg(512);
}

#define FOVEA_MODEL_BENCH(name, model)                                                                      \
  [[maybe_unused]] const bool is_added_##name =                                                             \
      add(                                                                                                  \
          "train_step/" #name, [](benchmark::State& state) { run_steps(state, model, /*training=*/true); }, \
          batch_sizes) &&                                                                                   \
      add(                                                                                                  \
          "inference/" #name, [](benchmark::State& state) { run_steps(state, model, /*training=*/false); }, \
          batch_sizes)

FOVEA_MODEL_BENCH(nano, "attention-nano");
FOVEA_MODEL_BENCH(attention56, "attention56");
FOVEA_MODEL_BENCH(attention92, "attention92");
FOVEA_MODEL_BENCH(attention92_wide, "attention92-wide");

}  // namespace
}  // namespace fovea::bench
