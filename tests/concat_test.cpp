#include "fovea/kernels/concat.h"

#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("concat: properties") {
  const auto along = [](int axis) { return [axis](const Inputs& x) { return F::concat(x, axis); }; };
  check_operation("concat",
                  {
                      {"one part", {{{3}}}, along(0)},
                      {"vectors", {{{7}}, {{1}}, {{8}}}, along(0)},
                      {"rows", {{{2, 5}}, {{1, 5}}}, along(0)},
                      {"columns", {{{3, 1}}, {{3, 16}}, {{3, 2}}}, along(1)},
                      {"channels", {{{2, 3, 5, 7}}, {{2, 3, 5, 9}}}, along(-1)},
                      {"the middle of an image", {{{2, 3, 5, 7}}, {{2, 4, 5, 7}}, {{2, 1, 5, 7}}}, along(1)},
                      {"an empty part", {{{2, 3}}, {{2, 0}}}, along(1)},
                      {"long rows", {{{40003}}, {{30000}}}, along(0)},
                      {"many rows of 16 bytes", {{{5001, 4}}, {{5001, 8}}, {{5001, 16}}}, along(1)},
                      {"a part without gradient", {{{2, 3}}, {{2, 3}, Fill::normal, false}}, along(0)},
                  });
}

TEST_CASE("concat: by hand") {
  const Variable a = parameter({1, 2, 3, 4}, {2, 2}), b = parameter({5, 6}, {2, 1});
  const Variable y = F::concat({a, b}, 1);
  CHECK(y.shape() == Shape{2, 3});
  check_near(y.value(), {1, 2, 5, 3, 4, 6});
  y.backward(Tensor::from<double>({10, 20, 30, 40, 50, 60}, {2, 3}));
  check_near(a.grad(), {10, 20, 40, 50});
  check_near(b.grad(), {30, 60});
}

TEST_CASE("concat: units of every size on a device") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  for (const Dtype dtype : {Dtype::u8, Dtype::f16, Dtype::f32, Dtype::i64}) {
    for (const int64_t width : {1, 2, 4, 8, 16, 17, 300}) {
      for (const int64_t offset : {0, 1, 2, 4, 16}) {
        INFO(dtype << ", rows of " << width << " from " << offset << " on");
        Tensor x = Tensor::empty({3, width}, Dtype::i32);
        for (int64_t i = 0; i < x.size(); ++i) x.data<int32_t>()[i] = static_cast<int32_t>(i % 251);
        x = cast(x, dtype);
        Tensor y = Tensor::zeros({3, width + 17}, dtype), dx = Tensor::empty({3, width}, dtype);
        Tensor device_y = y.to(Device::cuda()), device_dx = dx.to(Device::cuda());
        kernels::concat_forward(x, offset, y);
        kernels::concat_forward(x.to(Device::cuda()), offset, device_y);
        CHECK(same_bits(device_y, y));
        kernels::concat_backward(device_y, offset, device_dx);
        CHECK(same_bits(device_dx, x));
      }
    }
  }
}

TEST_CASE("concat: parts that do not fit are errors") {
  const Variable x(Tensor::zeros({2, 3}));
  check_error("concat", [] { F::concat({}, 0); });
  check_error("concat", [&] { F::concat({x, x}, 2); });
  check_error("concat", [&] { F::concat({x, x}, -3); });
  check_error("concat", [&] { F::concat({x, Tensor::zeros({3, 3})}, 1); });
  check_error("concat", [&] { F::concat({x, Tensor::zeros({2, 3, 1})}, 0); });
  check_error("concat", [&] { F::concat({x, Tensor::zeros({2, 3}, Dtype::f64)}, 0); });
}
