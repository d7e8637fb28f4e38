#include "fovea/training/device_speed.h"

#include <catch2/catch.hpp>

namespace fovea {
namespace {

TEST_CASE("device_speed: a copy and a product have a speed, and TF32 is as before") {
  for (const bool tf32 : {false, true}) {
    const TF32Scope before(tf32);
    const DeviceSpeed speed = measure_speed(Device::cpu(), Precision::f32);
    CHECK(speed.copy_bandwidth > 1e6);
    CHECK(speed.copy_bandwidth < 1e14);
    CHECK(speed.product_rate > 1e6);
    CHECK(speed.product_rate < 1e17);
    CHECK(tf32_allowed() == tf32);
  }
}

TEST_CASE("device_speed: the median of samples that are slow") {
  int calls = 0;
  CHECK(median_of([&] { return static_cast<double>(++calls % 3); }) == 1);
  CHECK(calls >= 3);
  CHECK(calls <= 101);
}

}  // namespace
}  // namespace fovea
