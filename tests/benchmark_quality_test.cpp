// What fovea_bench says of the worth of its times: their noise, and the clocks of the device.
#include <catch2/catch.hpp>
#include <cmath>

#include "../benchmarks/gpu_clocks.h"
#include "../benchmarks/noise.h"
#include "test_files.h"

using fovea::ScopedVariable;
using fovea::bench::GpuClocks;
using fovea::bench::noise_percent;

TEST_CASE("noise_percent: the range of the middle half in percent of the median, by hand") {
  CHECK(*noise_percent({1, 1, 1, 1}) == 0);
  // Sorted 8 9 10 11 12: the quartiles are 9 and 11.
  CHECK(*noise_percent({12, 8, 10, 11, 9}) == Approx(20));
  // Sorted 1 2 3 4: 1.75 and 3.25, about 2.5.
  CHECK(*noise_percent({4, 3, 2, 1}) == Approx(60));
}

TEST_CASE("noise_percent: one disturbance among many times is no noise") {
  std::vector<double> seconds(20, 1.0);
  seconds[7] = 100;
  CHECK(*noise_percent(seconds) == 0);
}

TEST_CASE("noise_percent: fewer than four times, or none that took any, say nothing") {
  CHECK_FALSE(noise_percent({}).has_value());
  CHECK_FALSE(noise_percent({1, 2, 3}).has_value());
  CHECK(noise_percent({1, 2, 3, 4}).has_value());
  CHECK_FALSE(noise_percent({0, 0, 0, 0}).has_value());
}

TEST_CASE("gpu_clocks: driver and clocks of the device that CUDA counts first") {
  const GpuClocks clocks(0);
  CHECK(clocks.reason() == "");
  REQUIRE(clocks.is_available());
  CHECK(clocks.driver() == "580.95.05");
  CHECK(clocks.multiprocessor_clock() == 1410);
  CHECK(clocks.most_multiprocessor_clock() == 1980);
  CHECK(clocks.memory_clock() == 2619);
  CHECK(clocks.throttled_by() == "");
}

TEST_CASE("gpu_clocks: the driver's reasons for lower clocks, in words") {
  const GpuClocks clocks(0);
  const auto reasons_of = [&](const char* bits) {
    const ScopedVariable variable("FAKE_GPU_REASONS", bits);
    return clocks.throttled_by();
  };
  CHECK(reasons_of("4") == "power cap");
  CHECK(reasons_of("20") == "heat");
  CHECK(reasons_of("40") == "heat");
  CHECK(reasons_of("8") == "hardware");
  CHECK(reasons_of("84") == "power cap, hardware");
  // Idle, or set so by somebody: that is no throttling.
  CHECK(reasons_of("13") == "");
}

TEST_CASE("gpu_clocks: what cannot be asked is no error") {
  CHECK(GpuClocks(1).reason() == "NVML does not know the device");
  CHECK(GpuClocks(1).multiprocessor_clock() == 0);
  {
    const ScopedVariable variable("FAKE_GPU_FAILS", "nvmlInit_v2");
    const GpuClocks clocks(0);
    CHECK(clocks.reason() == "NVML cannot be initialised");
    CHECK_FALSE(clocks.is_available());
    CHECK(clocks.driver() == "");
    CHECK(clocks.throttled_by() == "");
  }
  const ScopedVariable variable("FAKE_GPU_FAILS", "nvmlDeviceGetClockInfo");
  CHECK(GpuClocks(0).multiprocessor_clock() == 0);
}
