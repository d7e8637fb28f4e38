#include "fovea/kernels/join_moments.h"

#include <catch2/catch.hpp>
#include <limits>

#include "fovea/core/random.h"
#include "fovea/kernels/batch_norm.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Dtype dtype_of_parts(Device device) {
  return device.is_cpu() ? Dtype::f64 : Dtype::f32;
}

}  // namespace

TEST_CASE("join_moments: by hand") {
  for (const Device device : devices()) {
    INFO(device);
    // 1, 3 and 6, 8: mean 4.5, variance 1 + 2.5^2
    const Tensor parts =
        cast(Tensor::from<float>({2, 1, 7, 1}, {2, 2, 1}), dtype_of_parts(device)).to(device);
    Tensor mean = Tensor::zeros({1}, Dtype::f32, device), variance = Tensor::zeros_like(mean);
    kernels::join_moments(parts, mean, variance);
    check_near(mean.to(Device::cpu()), {4.5}, 1e-6);
    check_near(variance.to(Device::cpu()), {7.25}, 1e-6);
  }
}

TEST_CASE("join_moments: of 1 to 9 parts, as of the whole") {
  for (const int64_t R : {1, 2, 3, 4, 8, 9}) {
    for (const int64_t C : {1, 5, 64, 257}) {
      const Tensor x = normal({R * 6, C}, Random(static_cast<uint64_t>(R), Purpose::test));
      Tensor wide = cast(x, Dtype::f64), mean = Tensor::zeros({C}, Dtype::f64),
             variance = Tensor::zeros_like(mean);
      kernels::batch_norm_statistics(wide, mean, variance);
      Tensor parts = Tensor::zeros({R, 2, C});
      for (int64_t r = 0; r < R; ++r) {
        Tensor of_mean = parts.slice(r * 2 * C, {C}), of_variance = parts.slice(r * 2 * C + C, {C});
        kernels::batch_norm_statistics(x.slice(r * 6 * C, {6, C}), of_mean, of_variance);
      }
      for (const Device device : devices()) {
        INFO(R << " parts of " << C << " channels on " << device);
        Tensor found_mean = Tensor::zeros({C}, Dtype::f32, device),
               found_variance = Tensor::zeros_like(found_mean);
        kernels::join_moments(cast(parts, dtype_of_parts(device)).to(device), found_mean, found_variance);
        check_near(found_mean.to(Device::cpu()), mean.to_doubles(), 1e-6);
        check_near(found_variance.to(Device::cpu()), variance.to_doubles(), 1e-6);
      }
    }
  }
}

TEST_CASE("join_moments: an infinite variance stays one") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Device device : devices()) {
    INFO(device);
    const Tensor parts = Tensor::from<double>({1, infinity, 3, infinity}, {2, 2, 1});
    Tensor mean = Tensor::zeros({1}, Dtype::f32, device), variance = Tensor::zeros_like(mean);
    kernels::join_moments(cast(parts, dtype_of_parts(device)).to(device), mean, variance);
    CHECK(mean.item() == 2);
    CHECK(variance.item() == infinity);
  }
}

TEST_CASE("join_moments: errors") {
  Tensor half = Tensor::zeros({2, 2, 4}, Dtype::bf16), mean = Tensor::zeros({4}), variance = mean.clone();
  check_error("join_moments", [&] { kernels::join_moments(half, mean, variance); });
}
