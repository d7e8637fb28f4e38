#include "train_step.h"

#include "bench.h"

namespace fovea::bench {
namespace {

void run_steps(benchmark::State& state, const std::string& model, bool training) {
  StepTimer timer(model, state.range(0), training);
  timer.run();  // plans convolutions and fills the allocator's cache
  for (auto _ : state) benchmark::DoNotOptimize(timer.run());
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(state.range(0)), benchmark::Counter::kIsIterationInvariantRate);
}

void train_step(benchmark::State& state, const char* model) {
  run_steps(state, model, /*training=*/true);
}
void inference(benchmark::State& state, const char* model) {
  run_steps(state, model, /*training=*/false);
}

void batch_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("N")->Arg(32)->Arg(64)->Arg(128)->Unit(benchmark::kMillisecond)->UseRealTime();
}

#define FOVEA_MODEL_BENCH(name, model)                            \
  BENCHMARK_CAPTURE(train_step, name, model)->Apply(batch_sizes); \
  BENCHMARK_CAPTURE(inference, name, model)->Apply(batch_sizes)

FOVEA_MODEL_BENCH(nano, "attention-nano");
FOVEA_MODEL_BENCH(attention56, "attention56");
FOVEA_MODEL_BENCH(attention92, "attention92");
FOVEA_MODEL_BENCH(attention92_wide, "attention92-wide");

}  // namespace
}  // namespace fovea::bench
