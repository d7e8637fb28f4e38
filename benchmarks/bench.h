#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "fovea/core/random.h"
#include "fovea/core/tensor.h"
#include "fovea/training/device_speed.h"
#include "gpu_clocks.h"

namespace fovea::bench {

/// What one run measures: --device and --dtype.
struct Settings {
  Device device;
  Dtype dtype = Dtype::f32;  // of activations, their gradients and the weights of layers
};
Settings& settings();

/// The run's dtype where that has 16 bits, else bf16: for what is there for the sake of 16 bits.
Dtype half_dtype();

/// Normal numbers on the run's device, never zeros: zeros are faster on some machines. `stream` makes tensors
/// differ. On a CUDA device a million numbers, repeated.
Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation = 1.0f,
                     Dtype dtype = settings().dtype);
/// The same in f32, whatever the run's dtype: statistics, parameters of batch norms, state of optimisers.
Tensor random_f32(const Shape& shape, uint32_t stream, float deviation = 1.0f);
/// On the run's device.
Tensor zeros(const Shape& shape, Dtype dtype = settings().dtype);

/// fovea::copy_bandwidth of the run's device, measured at the first call.
double copy_bandwidth();
/// fovea::product_rate of the run's device and dtype, measured at the first call.
double product_rate();

/// What is measured on a CUDA device for a call that launches nothing: it is part of every time there.
double empty_seconds();

/// Of the run's device; there are none on the CPU.
const GpuClocks& gpu_clocks();

/// Runs the benchmark's loop on the CPU: seconds of a call of `body`, in up to 20 parts of the loop, each a
/// mean.
std::vector<double> seconds_in_parts(benchmark::State& state, const std::function<void()>& body);

/// What the times of a benchmark are worth: sets the column %noise (noise.h), and on a CUDA device "SM MHz"
/// and, as the label, why its clocks are lower than they could be.
void add_quality(benchmark::State& state, const std::vector<double>& seconds);

/// How many benchmarks were throttled.
int count_throttled();

/// Times `body` and sets the columns of add_quality, GB/s, %copy (of copy_bandwidth) and, for kernels that
/// multiply and add, GFLOP/s and %product (of product_rate). `least_bytes` is what one call must move: each
/// input read once, each output written once. CPU: the mean of many calls in a row. CUDA: the median of calls
/// that each find none of their data in the cache, between two events.
void measure(benchmark::State& state, size_t least_bytes, const std::function<void()>& body);

/// [N, H, W, C] from the benchmark's arguments.
inline Shape image_shape(const benchmark::State& state) {
  return {state.range(0), state.range(1), state.range(2), state.range(3)};
}

using Benchmark = benchmark::internal::Benchmark;

/// The activations of attention92 (64 images) and attention92-wide (32), stage by stage, and tensors of
/// 64 MB, which is past the caches of a CPU; on a CUDA device also of 256 MB.
void network_shapes(Benchmark* benchmark);

/// Adds a benchmark, which is registered once --device and --dtype are known.
bool add(const char* name, void (*function)(benchmark::State&), void (*arguments)(Benchmark*));

}  // namespace fovea::bench

/// Adds the benchmark `function` with the arguments that another function gives it.
#define FOVEA_BENCH(function, arguments) \
  [[maybe_unused]] const bool is_added_##function = fovea::bench::add(#function, function, arguments)
