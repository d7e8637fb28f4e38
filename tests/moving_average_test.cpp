#include "fovea/kernels/moving_average.h"

#include <catch2/catch.hpp>

#include "fovea/core/random.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("moving_average: by hand, the first steps with less weight on what was") {
  for (const Device device : devices()) {
    INFO(device);
    const Tensor x = Tensor::from<float>({5, -1}, {2}).to(device);
    Tensor average = Tensor::from<float>({1, 1}, {2}).to(device);
    // After 2 steps the decay is 3 / 12, so 3/4 of the way; after 10,000 it is 0.9.
    kernels::moving_average(x, whole(2, device), whole(0, device), 0.9, average);
    check_near(average.to(Device::cpu()), {4, -0.5}, 1e-6);
    kernels::moving_average(x, whole(10000, device), whole(0, device), 0.9, average);
    check_near(average.to(Device::cpu()), {4.1, -0.55}, 1e-6);
    kernels::moving_average(x, whole(10000, device), whole(1, device), 0.9, average);
    check_near(average.to(Device::cpu()), {4.1, -0.55}, 1e-6);
  }
}

TEST_CASE("moving_average: of any size, near f64") {
  for (const int64_t size : {0, 1, 3, 4, 5, 63, 1021, 40003}) {
    const Tensor x = normal({size}, Random(1, Purpose::test)),
                 begin = normal({size}, Random(2, Purpose::test));
    Tensor wanted = cast(begin, Dtype::f64);
    kernels::moving_average(cast(x, Dtype::f64), whole(500, Device::cpu()), whole(0, Device::cpu()), 0.99,
                            wanted);
    for (const Device device : devices()) {
      Tensor average = begin.clone().to(device);
      kernels::moving_average(x.to(device), whole(500, device), whole(0, device), 0.99, average);
      check_near(average.to(Device::cpu()), wanted.to_doubles(), 1e-6);
    }
  }
}

TEST_CASE("moving_average: errors") {
  Tensor half = Tensor::zeros({4}, Dtype::bf16), single = Tensor::zeros({4}),
         wide = Tensor::zeros({4}, Dtype::f64);
  const Tensor one = whole(1, Device::cpu()), zero = whole(0, Device::cpu());
  check_error("moving_average", [&] { kernels::moving_average(half, one, zero, 0.5, half); });
  check_error("moving_average", [&] { kernels::moving_average(single, one, zero, 0.5, wide); });
}
