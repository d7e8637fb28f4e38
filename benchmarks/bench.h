#pragma once

#include <benchmark/benchmark.h>

#include "fovea/core/random.h"
#include "fovea/core/tensor.h"

namespace fovea::bench {

/// Normal numbers, never zeros: zeros are faster on some machines. `stream` makes tensors differ.
Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation = 1.0f);

/// Bytes per second of a copy between two tensors of 64 MB on all threads, read and written bytes counted;
/// the median of several, measured at the first call.
double copy_bandwidth();

/// Sets what one iteration moves at the least (each input read once, each output written once) and computes:
/// the columns GB/s, %copy (of copy_bandwidth) and, unless `flops` is 0, GFLOP/s.
void count(benchmark::State& state, size_t bytes, double flops = 0);

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
