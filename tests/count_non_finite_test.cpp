#include "fovea/kernels/count_non_finite.h"

#include <cmath>
#include <limits>

#include "fovea/core/parallel_for.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

int64_t count_on(Device device, const Tensor& x) {
  Tensor result = Tensor::from<int64_t>({1000}, {}).to(device);
  kernels::count_non_finite(x.to(device), result);
  return static_cast<int64_t>(result.item()) - 1000;
}

/// Also on a CUDA device, in a program that has one, but for f64, which is not counted there.
int64_t count(const Tensor& x) {
  const int64_t found = count_on(Device::cpu(), x);
  if (cuda_status().device_count > 0 && x.dtype() != Dtype::f64) {
    CHECK(count_on(Device::cuda(), x) == found);
  }
  return found;
}

}  // namespace

TEST_CASE("count_non_finite: by hand, in every floating dtype") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  // 60000 is finite in f16 too; the smallest numbers are there to be flushed, not to be counted.
  const Tensor x = Tensor::from<double>({0, -0.0, nan, 1, inf, 60000, -60000, -inf, 1e-7, -nan, 3}, {11});
  for (const Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16}) {
    INFO(dtype);
    CHECK(count(cast(x, dtype)) == 4);
  }
  CHECK(count(Tensor::from<float>({std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()},
                                  {2})) == 0);
  CHECK(count(Tensor::empty({0})) == 0);
  check_error("count_non_finite", [] { count(Tensor::zeros({1}, Dtype::i32)); });
  if (cuda_status().device_count == 0) return;
  check_error("count_non_finite", [] { count_on(Device::cuda(), Tensor::zeros({1}, Dtype::f64)); });
}

TEST_CASE("count_non_finite: finds one number wherever it stands") {
  const NoGrain no_grain;
  for (const int64_t size : {1, 15, 16, 17, 61}) {
    Tensor x = Tensor::full({size}, 1);
    for (int64_t i = 0; i < size; ++i) {
      x.data<float>()[i] = std::nanf("");
      REQUIRE(count(x) == 1);
      x.data<float>()[i] = 1;
    }
    CHECK(count(x) == 0);
  }
}

TEST_CASE("count_non_finite: all of them, over more than one grid, and from any place") {
  // The grid of the emulated device covers 65536 elements of 16 bits.
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const Tensor x = cast(Tensor::full({150001}, std::nan("")), dtype);
    CHECK(count(x) == 150001);
    if (cuda_status().device_count == 0) continue;
    Tensor number = Tensor::zeros({}, Dtype::i64, Device::cuda());
    kernels::count_non_finite(x.to(Device::cuda()).slice(1, {9999}), number);
    CHECK(number.item() == 9999);
  }
}
