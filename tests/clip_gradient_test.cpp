#include "fovea/kernels/clip_gradient.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor sums_of(const Tensor& x) {
  Tensor sums =
      Tensor::zeros({kernels::kSquareSums}, x.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32, x.device());
  kernels::square_sums(x, sums);
  return sums;
}

double scale_of(const Tensor& sums, double most, const Tensor& gradient_scale = {}) {
  Tensor scale = Tensor::zeros({}, sums.dtype(), sums.device());
  kernels::clip_scale(sums, gradient_scale, most, scale);
  return scale.item();
}

}  // namespace

TEST_CASE("clip_gradient: by hand, of two arenas together") {
  for (const Device device : devices()) {
    INFO(device);
    // The norm of 3, 4 and 12 is 13.
    Tensor sums = sums_of(Tensor::from<float>({3, 4}, {2}).to(device));
    kernels::square_sums(Tensor::from<float>({12}, {1}).to(device), sums);
    CHECK(scale_of(sums, 6.5) == Approx(0.5).epsilon(1e-6));
    CHECK(scale_of(sums, 14) == 1);
    const Tensor quarter = Tensor::full({}, 0.25, Dtype::f32, device);
    CHECK(scale_of(sums, 6.5, quarter) == 0.25);
    CHECK(scale_of(sums, 1.625, quarter) == Approx(0.125).epsilon(1e-6));
  }
}

TEST_CASE("clip_gradient: norms of any size and dtype, on every device, for any number of threads") {
  for (const int64_t size : {0, 1, 255, 256, 257, 5000, 100003}) {
    for (const Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16}) {
      const Tensor x = cast(normal({size}, Random(3, Purpose::test)), dtype);
      double squares = 0;
      for (const double number : x.to_doubles()) squares += number * number;
      for (const Device device : devices()) {
        if (dtype == Dtype::f64 && !device.is_cpu()) continue;
        INFO(device << " " << dtype << " " << size);
        const double scale = scale_of(sums_of(x.to(device)), 0.01);
        CHECK(scale == Approx(std::min(1.0, 0.01 / (std::sqrt(squares) + 1e-6))).epsilon(1e-5));
      }
    }
  }
  const NoGrain no_grain;
  const Tensor x = normal({100003}, Random(3, Purpose::test)), wanted = sums_of(x);
  const int threads_before = num_threads();
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    CHECK(same_bits(sums_of(x), wanted));
  }
  set_num_threads(threads_before);
}

TEST_CASE("clip_gradient: errors") {
  Tensor half = Tensor::zeros({kernels::kSquareSums}, Dtype::bf16);
  check_error("square_sums", [&] { kernels::square_sums(Tensor::zeros({2}), half); });
}
