#include "fovea/training/device_speed.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "fovea/core/allocator.h"
#include "fovea/core/captured_graph.h"
#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"
#include "fovea/kernels/matmul.h"
#include "fovea/training/metrics.h"

namespace fovea {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double copy_bandwidth_of_cpu() {
  constexpr int64_t kBytes = int64_t{64} << 20;
  const int64_t parts = num_threads();  // each is copied at once, past the caches
  const Tensor source = normal({kBytes / 4}, Random(/*seed=*/1, Purpose::test));
  Tensor target = Tensor::zeros_like(source);
  const char* from = static_cast<const char*>(source.raw());
  char* to = static_cast<char*>(target.raw());
  std::vector<double> seconds;
  for (int run = 0; run < 21; ++run) {
    const auto begin = Clock::now();
    parallel_for(parts, 1, [&](int64_t first, int64_t last) {
      const int64_t begin_byte = kBytes * first / parts, end_byte = kBytes * last / parts;
      std::memcpy(to + begin_byte, from + begin_byte, static_cast<size_t>(end_byte - begin_byte));
    });
    seconds.push_back(seconds_since(begin));
  }
  return 2.0 * static_cast<double>(kBytes) / median(seconds);
}

double seconds_of_product(int64_t size, Device device, Dtype dtype) {
  const Tensor a = repeated_normal({size, size}, 1, 1.0f, dtype, device);
  const Tensor b = repeated_normal({size, size}, 2, 1.0f, dtype, device);
  Tensor y = Tensor::zeros({size, size}, dtype, device);
  const auto multiply = [&] {
    kernels::matmul_forward(a, /*transpose_a=*/false, b, /*transpose_b=*/true, Tensor(), y);
  };
  multiply();  // chooses how
  return median_of([&] { return seconds_on(device, multiply); });
}

}  // namespace

Tensor repeated_normal(const Shape& shape, uint32_t stream, float deviation, Dtype dtype, Device device) {
  const Random random(/*seed=*/1, Purpose::test, /*epoch=*/0, stream);
  if (device.is_cpu()) return normal(shape, random, deviation, dtype);
  constexpr int64_t kNumbers = 1 << 20;
  const int64_t count = std::min(shape.size(), kNumbers);
  const Tensor numbers = normal({count}, random, deviation, dtype).to(device);
  Tensor result = Tensor::zeros({shape.size()}, dtype, device);
  for (int64_t begin = 0; begin < shape.size(); begin += count) {
    const Shape part{std::min(count, shape.size() - begin)};
    result.slice(begin, part).copy_from(numbers.slice(0, part));
  }
  return result.reshape(shape);
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

double seconds_cold(Device device, const std::function<void()>& body) {
  Tensor filling = Tensor::empty({2 * cache_bytes(device) + (int64_t{16} << 20)}, Dtype::u8, device);
  filling.fill_with_zeros();
  return seconds_on(device, body);
}

double copy_bandwidth(Device device) {
  if (device.is_cpu()) return copy_bandwidth_of_cpu();
  const Tensor source = repeated_normal({int64_t{256} << 18}, 0, 1.0f, Dtype::f32, device);
  Tensor target = Tensor::zeros_like(source);
  const double seconds = median_of([&] { return seconds_cold(device, [&] { target.copy_from(source); }); });
  return 2.0 * static_cast<double>(source.bytes()) / seconds;
}

double product_rate(Device device, Dtype dtype) {
  // The product is as large as can be had in a short time: small ones do not reach the rate.
  constexpr double kLongEnough = 5e-3;
  constexpr int64_t kLargest = 16384;
  for (int64_t size = 512;; size *= 2) {
    const double seconds = seconds_of_product(size, device, dtype);
    if (seconds > kLongEnough || size == kLargest) {
      const auto extent = static_cast<double>(size);
      return 2 * extent * extent * extent / seconds;
    }
  }
}

DeviceSpeed measure_speed(Device device, Precision precision) {
  const TF32Scope tf32(precision == Precision::tf32);
  const DeviceSpeed speed{copy_bandwidth(device), product_rate(device, activation_dtype(precision))};
  if (device.is_cuda()) release_cached_memory(device);
  return speed;
}

}  // namespace fovea
