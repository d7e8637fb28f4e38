#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "bench.h"
#include "fovea/core/check.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/stream.h"
#include "fovea/kernels/matmul.h"
#include "fovea/training/metrics.h"

namespace fovea::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Seconds of `body` on the CUDA device, with nothing of its data in the cache. The filling that clears the
/// cache is still running when `body` is launched, so that the launches are hidden.
double seconds_cold(const std::function<void()>& body) {
  static Tensor filling =
      Tensor::empty({2 * cache_bytes(settings().device) + (int64_t{16} << 20)}, Dtype::u8, settings().device);
  filling.fill_with_zeros();
  return seconds_on(settings().device, body);
}

double measure_copy_on_cpu() {
  constexpr int64_t kBytes = int64_t{64} << 20, kChunk = int64_t{1} << 20;
  const Tensor source = normal({kBytes / 4}, Random(/*seed=*/1, Purpose::test));
  Tensor target = Tensor::zeros_like(source);
  const char* from = static_cast<const char*>(source.raw());
  char* to = static_cast<char*>(target.raw());
  std::vector<double> seconds;
  for (int run = 0; run < 21; ++run) {
    const auto begin = Clock::now();
    parallel_for(kBytes / kChunk, 1, [&](int64_t first, int64_t last) {
      std::memcpy(to + first * kChunk, from + first * kChunk, static_cast<size_t>((last - first) * kChunk));
    });
    seconds.push_back(seconds_since(begin));
  }
  return 2.0 * static_cast<double>(kBytes) / median(seconds);
}

double measure_copy_on_cuda() {
  const Tensor source = random_tensor({int64_t{256} << 18}, 0, 1.0f, Dtype::f32);
  Tensor target = zeros(source.shape(), Dtype::f32);
  const double seconds = median_of([&] { return seconds_cold([&] { target.copy_from(source); }); });
  return 2.0 * static_cast<double>(source.bytes()) / seconds;
}

double seconds_of_product(int64_t size) {
  const Tensor a = random_tensor({size, size}, 1), b = random_tensor({size, size}, 2);
  Tensor y = zeros({size, size});
  const auto multiply = [&] {
    kernels::matmul_forward(a, /*transpose_a=*/false, b, /*transpose_b=*/true, Tensor(), y);
  };
  multiply();  // chooses how
  return median_of([&] { return seconds_on(settings().device, multiply); });
}

double measure_product() {
  // As large as can be had in a short time: small products do not reach the rate.
  constexpr double kLongEnough = 5e-3;
  for (int64_t size = 512;; size *= 2) {
    const double seconds = seconds_of_product(size);
    if (seconds > kLongEnough || size == 16384) {
      const auto extent = static_cast<double>(size);
      return 2 * extent * extent * extent / seconds;
    }
  }
}

}  // namespace

Settings& settings() {
  static Settings own;
  return own;
}

Dtype half_dtype() {
  return settings().dtype == Dtype::f32 ? Dtype::bf16 : settings().dtype;
}

Tensor random_tensor(const Shape& shape, uint32_t stream, float deviation, Dtype dtype) {
  const Random random(/*seed=*/1, Purpose::test, /*epoch=*/0, stream);
  if (settings().device.is_cpu()) return normal(shape, random, deviation, dtype);
  constexpr int64_t kNumbers = 1 << 20;
  const int64_t count = std::min(shape.size(), kNumbers);
  const Tensor numbers = normal({count}, random, deviation, dtype).to(settings().device);
  Tensor result = zeros({shape.size()}, dtype);
  for (int64_t begin = 0; begin < shape.size(); begin += count) {
    const Shape part{std::min(count, shape.size() - begin)};
    result.slice(begin, part).copy_from(numbers.slice(0, part));
  }
  return result.reshape(shape);
}

Tensor random_f32(const Shape& shape, uint32_t stream, float deviation) {
  return random_tensor(shape, stream, deviation, Dtype::f32);
}

Tensor zeros(const Shape& shape, Dtype dtype) {
  return Tensor::zeros(shape, dtype, settings().device);
}

double median_of(const std::function<double()>& sample) {
  constexpr size_t kFewest = 3, kMost = 101;
  constexpr double kSeconds = 0.1;
  std::vector<double> samples;
  const auto begin = Clock::now();
  do {
    samples.push_back(sample());
  } while (samples.size() < kFewest || (samples.size() < kMost && seconds_since(begin) < kSeconds));
  return median(samples);
}

double empty_seconds() {
  return median_of([] { return seconds_cold([] {}); });
}

double copy_bandwidth() {
  static const double bandwidth = settings().device.is_cpu() ? measure_copy_on_cpu() : measure_copy_on_cuda();
  return bandwidth;
}

double product_rate() {
  static const double rate = measure_product();
  return rate;
}

void measure(benchmark::State& state, const Work& work, const std::function<void()>& body) {
  double seconds = 0;
  if (settings().device.is_cpu()) {
    const auto begin = Clock::now();
    for (auto _ : state) body();
    seconds = seconds_since(begin) / static_cast<double>(state.iterations());
  } else {
    body();  // what is prepared at the first use
    for (auto _ : state) {
      seconds = median_of([&] { return seconds_cold(body); });
      state.SetIterationTime(seconds);
    }
  }
  const double bytes = static_cast<double>(work.bytes);
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["%copy"] = bytes / seconds / copy_bandwidth() * 100;
  if (work.flops > 0) {
    state.counters["GFLOP/s"] = work.flops / seconds / 1e9;
    state.counters["%product"] = work.flops / seconds / product_rate() * 100;
  }
}

}  // namespace fovea::bench
