#pragma once

#include <benchmark/benchmark.h>

#include <chrono>

#include "fovea/core/random.h"
#include "fovea/core/tensor.h"

namespace fovea::bench {

/// Normal numbers, never zeros: zeros are faster on some machines. `stream` makes tensors differ.
Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation = 1.0f);

/// Bytes per second of a copy between two tensors of 64 MB on all threads, read and written bytes counted;
/// the median of several, measured at the first call.
double copy_bandwidth();

/// What one call of a kernel does at the least: each input read once, each output written once; and computes.
struct Work {
  size_t bytes;
  double flops = 0;
};

/// Times `body` and sets the columns GB/s, %copy (of copy_bandwidth) and, where there are flops, GFLOP/s.
template <class Body>
void measure(benchmark::State& state, const Work& work, Body&& body) {
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) body();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  const double rate = static_cast<double>(state.iterations()) / time.count();
  state.counters["GB/s"] = rate * static_cast<double>(work.bytes) / 1e9;
  state.counters["%copy"] = rate * static_cast<double>(work.bytes) / copy_bandwidth() * 100;
  if (work.flops > 0) state.counters["GFLOP/s"] = rate * work.flops / 1e9;
}

/// [N, H, W, C] from the benchmark's arguments.
inline Shape image_shape(const benchmark::State& state) {
  return {state.range(0), state.range(1), state.range(2), state.range(3)};
}

/// The activations of attention92 (64 images) and attention92-wide (32), stage by stage, and one tensor each
/// of 64 MB, which is past every cache.
void network_shapes(benchmark::internal::Benchmark* benchmark);

}  // namespace fovea::bench

/// Registers a benchmark over network_shapes.
#define FOVEA_BENCH(function) BENCHMARK(function)->Apply(fovea::bench::network_shapes)->UseRealTime()
