#include "fovea/kernels/max_pool.h"

#include <cmath>
#include <limits>

#include "fovea/core/random.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Geometry {
  Shape x;
  int64_t window, stride, padding;
};

OperationCase pool_case(const Geometry& g) {
  return {str(g.x, " window ", g.window, " stride ", g.stride, " padding ", g.padding),
          {{g.x, Fill::distinct}},
          [g](const Inputs& x) { return F::max_pool(x[0], g.window, g.stride, g.padding); },
          /*terms=*/g.window * g.window};
}

}  // namespace

TEST_CASE("max_pool: properties") {
  std::vector<OperationCase> cases;
  for (const int64_t C : {1, 7, 8, 15, 16, 17, 33}) cases.push_back(pool_case({{2, 5, 6, C}, 3, 2, 1}));
  cases.push_back(pool_case({{1, 1, 1, 3}, 3, 2, 1}));
  cases.push_back(pool_case({{3, 1, 8, 5}, 3, 2, 1}));
  cases.push_back(pool_case({{1, 8, 8, 2}, 2, 2, 0}));
  cases.push_back(pool_case({{1, 7, 11, 2}, 1, 1, 0}));
  cases.push_back(pool_case({{1, 7, 11, 2}, 1, 3, 0}));
  cases.push_back(pool_case({{1, 9, 7, 2}, 2, 5, 1}));
  cases.push_back(pool_case({{1, 6, 7, 3}, 5, 1, 2}));
  cases.push_back(pool_case({{1, 16, 17, 3}, 15, 1, 7}));
  // Windows of 3 and of 2 with a stride of 2, which have kernels of their own, at every kind of edge; the
  // last takes several blocks of a device.
  cases.push_back(pool_case({{1, 8, 7, 8}, 3, 2, 0}));
  cases.push_back(pool_case({{2, 3, 4, 3}, 3, 2, 0}));
  cases.push_back(pool_case({{1, 4, 5, 8}, 2, 2, 1}));
  cases.push_back(pool_case({{1, 5, 4, 16}, 2, 2, 0}));
  cases.push_back(pool_case({{3, 15, 17, 40}, 3, 2, 1}));
  check_operation("max_pool", cases);
}

TEST_CASE("max_pool: by hand") {
  const Variable x = parameter({1, 2, 3,  //
                                8, 5, 4,  //
                                7, 6, 9},
                               {1, 3, 3, 1});
  const Variable y = F::max_pool(x, /*window=*/3, /*stride=*/2, /*padding=*/1);
  REQUIRE(y.shape() == Shape{1, 2, 2, 1});
  check_near(y.value(), {8, 5, 8, 9});
  y.backward(Tensor::from<double>({1, 10, 100, 1000}, {1, 2, 2, 1}));
  check_near(x.grad(), {0, 0, 0, 101, 10, 0, 0, 0, 1000});
}

TEST_CASE("max_pool: the winner's byte is its place in the window, the first of equals") {
  const kernels::Window window{/*size=*/3, /*stride=*/2, /*padding=*/1};
  const Tensor x = Tensor::zeros({1, 3, 3, 17});
  Tensor y = Tensor::empty({1, 2, 2, 17}), winner = Tensor::empty({1, 2, 2, 17}, Dtype::u8);
  kernels::max_pool_forward(x, window, y, winner);
  const std::vector<double> places = winner.to_doubles();
  for (size_t c = 0; c < 17; ++c) {
    CHECK(places[c] == 4);       // padding above and to the left never wins
    CHECK(places[17 + c] == 3);  // row 1, column 0
    CHECK(places[34 + c] == 1);  // row 0, column 1
    CHECK(places[51 + c] == 0);
  }
}

TEST_CASE("max_pool: padding never wins, NaN always") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Variable x = parameter({-infinity, -3, -2, std::nan("")}, {1, 2, 2, 1});
  const Variable lowest = F::max_pool(parameter({-infinity}, {1, 1, 1, 1}), 3, 2, 1);
  CHECK(lowest.value().item() == -infinity);
  const Variable y = F::max_pool(x, /*window=*/2, /*stride=*/1, /*padding=*/1);  // [1, 3, 3, 1]
  const std::vector<double> found = y.value().to_doubles();
  const std::vector<double> wanted = {-infinity,    -3, -3,           -2,          std::nan(""),
                                      std::nan(""), -2, std::nan(""), std::nan("")};
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK((std::isnan(wanted[i]) ? std::isnan(found[i]) : found[i] == wanted[i]));
  }
}

TEST_CASE("max_pool: on a device the same winners among equals, infinities and NaN") {
  if (cuda_status().device_count == 0) {
    WARN("skipped: there is no CUDA device");
    return;
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float values[] = {
      -kInfinity, -kInfinity, -1, 0, 1, kInfinity, std::numeric_limits<float>::quiet_NaN()};
  Random random(1, Purpose::test);
  Tensor numbers = Tensor::empty({2, 9, 10, 8});
  for (int64_t i = 0; i < numbers.size(); ++i) numbers.data<float>()[i] = values[random.below(7)];
  for (const kernels::Window& window : {kernels::Window{3, 2, 1}, {2, 2, 0}, {4, 1, 2}, {1, 3, 0}}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      INFO("window " << window.size << ", " << dtype);
      const Tensor x = cast(numbers, dtype);
      Tensor y = Tensor::empty({2, window.outputs(9), window.outputs(10), 8}, dtype);
      Tensor winner = Tensor::empty(y.shape(), Dtype::u8);
      Tensor device_y = y.to(Device::cuda()), device_winner = winner.to(Device::cuda());
      kernels::max_pool_forward(x, window, y, winner);
      kernels::max_pool_forward(x.to(Device::cuda()), window, device_y, device_winner);
      CHECK(same_bits(device_winner, winner));
      const std::vector<double> found = device_y.to_doubles(), wanted = y.to_doubles();
      for (size_t i = 0; i < found.size(); ++i) {
        CHECK((found[i] == wanted[i] || (std::isnan(found[i]) && std::isnan(wanted[i]))));
      }
    }
  }
}

TEST_CASE("max_pool: errors") {
  const Variable x = Tensor::zeros({1, 4, 4, 2});
  check_error("max_pool", [&] { F::max_pool(Tensor::zeros({4, 4, 2}), 3, 2, 1); });
  check_error("max_pool", [&] { F::max_pool(x, 0, 1, 0); });
  check_error("max_pool", [&] { F::max_pool(x, 16, 1, 8); });
  check_error("max_pool", [&] { F::max_pool(x, 3, 0, 1); });
  check_error("max_pool", [&] { F::max_pool(x, 3, 2, 2); });
  check_error("max_pool", [&] { F::max_pool(x, 2, 2, -1); });
  check_error("max_pool", [&] { F::max_pool(x, 5, 1, 0); });
  check_error("max_pool", [&] { F::max_pool(Tensor::zeros({1, 0, 4, 2}), 2, 1, 1); });
  check_error("max_pool", [&] { F::max_pool(Tensor::zeros({1, 4, 4, 2}, Dtype::i32), 2, 1, 1); });
}
