#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "bench.h"
#include "fovea/core/profile.h"
#include "noise.h"

namespace fovea::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A product and a sum for each of the multiply-adds of the kernels that body calls.
double flops_of(const std::function<void()>& body) {
  const MultiplyAddCounter counter;
  body();
  return 2 * static_cast<double>(counter.count());
}

int throttled = 0;

}  // namespace

Settings& settings() {
  static Settings own;
  return own;
}

Dtype half_dtype() {
  return settings().dtype == Dtype::f32 ? Dtype::bf16 : settings().dtype;
}

Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation, Dtype dtype) {
  return repeated_normal(shape, stream, deviation, dtype, settings().device);
}

Tensor random_f32(const Shape& shape, uint32_t stream, float deviation) {
  return random_tensor(shape, stream, deviation, Dtype::f32);
}

Tensor random_labels(int64_t N, int64_t classes) {
  Tensor labels = Tensor::zeros({N}, Dtype::i32);
  Random random(/*seed=*/1, Purpose::test);
  for (int64_t n = 0; n < N; ++n) {
    labels.data<int32_t>()[n] = static_cast<int32_t>(random.below(static_cast<uint32_t>(classes)));
  }
  return labels.to(settings().device);
}

Tensor zeros(const Shape& shape, Dtype dtype) {
  return Tensor::zeros(shape, dtype, settings().device);
}

double empty_seconds() {
  return median_of([] { return seconds_cold(settings().device, [] {}); });
}

double copy_bandwidth() {
  static const double bandwidth = fovea::copy_bandwidth(settings().device);
  return bandwidth;
}

double product_rate() {
  static const double rate = fovea::product_rate(settings().device, settings().dtype);
  return rate;
}

const GpuClocks& gpu_clocks() {
  static const GpuClocks clocks(settings().device.index);
  return clocks;
}

std::vector<double> seconds_in_parts(benchmark::State& state, const std::function<void()>& body) {
  constexpr int64_t kParts = 20;
  const int64_t calls = std::max<int64_t>(1, static_cast<int64_t>(state.max_iterations) / kParts);
  std::vector<double> seconds;
  seconds.reserve(2 * kParts);
  int64_t left = calls;
  auto begin = Clock::now();
  for (auto _ : state) {
    body();
    if (--left > 0) continue;
    seconds.push_back(seconds_since(begin) / static_cast<double>(calls));
    left = calls;
    begin = Clock::now();
  }
  return seconds;
}

void add_quality(benchmark::State& state, const std::vector<double>& seconds) {
  if (const std::optional<double> noise = noise_percent(seconds)) state.counters["%noise"] = *noise;
  if (settings().device.is_cpu() || !gpu_clocks().is_available()) return;
  state.counters["SM MHz"] = gpu_clocks().multiprocessor_clock();
  const std::string reasons = gpu_clocks().throttled_by();
  if (reasons.empty()) return;
  state.SetLabel("throttled: " + reasons);
  ++throttled;
}

int count_throttled() {
  return throttled;
}

void measure(benchmark::State& state, size_t least_bytes, const std::function<void()>& body) {
  const double flops = flops_of(body);  // untimed: the first call also prepares
  std::vector<double> samples;
  double seconds = 0;
  if (settings().device.is_cpu()) {
    const auto begin = Clock::now();
    samples = seconds_in_parts(state, body);
    seconds = seconds_since(begin) / static_cast<double>(state.iterations());
  } else {
    for (auto _ : state) {
      seconds = median_of([&] { return samples.emplace_back(seconds_cold(settings().device, body)); });
      state.SetIterationTime(seconds);
    }
  }
  add_quality(state, samples);
  const double bytes = static_cast<double>(least_bytes);
  state.counters["bytes"] = bytes;
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["%copy"] = bytes / seconds / copy_bandwidth() * 100;
  if (flops > 0) {
    state.counters["GFLOP/s"] = flops / seconds / 1e9;
    state.counters["%product"] = flops / seconds / product_rate() * 100;
  }
}

}  // namespace fovea::bench
