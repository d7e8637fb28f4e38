#include <array>
#include <cmath>

#include "fovea/core/random.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Geometry {
  Shape x, weight;
  int64_t stride, padding;
};

// One in each axis, primes, widths around a vector's, windows that leave rows over, a window of the whole
// image, padding larger than needed, and batches that do not divide into equal chunks.
const std::vector<Geometry> kGeometries = {
    {{2, 23, 24, 8}, {12, 1, 1, 8}, 1, 0},
    {{2, 23, 24, 12}, {8, 1, 1, 12}, 1, 0},

    {{1, 1, 1, 1}, {1, 1, 1, 1}, 1, 0},
    {{1, 5, 7, 1}, {3, 3, 3, 1}, 1, 1},
    {{2, 4, 4, 3}, {5, 3, 3, 3}, 2, 1},
    {{3, 5, 4, 7}, {1, 1, 1, 7}, 2, 0},
    {{8, 8, 8, 4}, {8, 1, 1, 4}, 2, 0},
    {{11, 3, 3, 16}, {16, 3, 3, 16}, 1, 1},
    {{9, 2, 3, 17}, {15, 1, 1, 17}, 1, 0},
    {{2, 7, 7, 8}, {9, 7, 7, 8}, 1, 0},
    {{2, 6, 5, 4}, {8, 3, 3, 4}, 3, 2},
    {{2, 8, 8, 3}, {4, 7, 7, 3}, 2, 3},
    {{2, 3, 5, 2}, {3, 1, 3, 2}, 1, 0},

    // Winograd's form: a block of tiles from two images, chunks of several blocks, a row of tiles longer than
    // a block, odd numbers of strips, images of one tile; with AVX2 alone, channels of its registers.
    {{2, 12, 44, 16}, {16, 3, 3, 16}, 1, 1},
    {{25, 16, 16, 16}, {16, 3, 3, 16}, 1, 1},
    {{1, 4, 132, 16}, {16, 3, 3, 16}, 1, 1},
    {{5, 4, 28, 48}, {16, 3, 3, 48}, 1, 1},
    {{33, 4, 4, 16}, {48, 3, 3, 16}, 1, 1},
    {{9, 8, 8, 8}, {24, 3, 3, 8}, 1, 1},

    // Near it: one thing that it does not do.
    {{9, 8, 8, 16}, {16, 3, 3, 16}, 1, 0},
    {{9, 8, 8, 16}, {16, 3, 3, 16}, 2, 1},
    {{9, 8, 8, 16}, {16, 3, 1, 16}, 1, 1},
    {{9, 8, 8, 16}, {16, 1, 3, 16}, 1, 1},
    {{9, 6, 8, 16}, {16, 3, 3, 16}, 1, 1},
    {{9, 8, 6, 16}, {16, 3, 3, 16}, 1, 1},
    {{9, 8, 8, 20}, {16, 3, 3, 20}, 1, 1},
    {{9, 8, 8, 16}, {20, 3, 3, 16}, 1, 1},
};

int64_t terms_of(const Geometry& g) {
  const int64_t forward = g.weight.size(1, 4), dx = g.weight.size(0, 3), dweight = g.x.size(0, 3);
  return std::max({forward, dx, dweight});
}

}  // namespace

TEST_CASE("conv: properties without bias") {
  std::vector<OperationCase> cases;
  for (const Geometry& g : kGeometries) {
    cases.push_back({str(g.x, " * ", g.weight),
                     {{g.x}, {g.weight}},
                     [g](const Inputs& in) { return F::conv(in[0], in[1], Variable(), g.stride, g.padding); },
                     terms_of(g)});
  }
  check_operation("conv", cases);
}

TEST_CASE("conv: properties with bias") {
  std::vector<OperationCase> cases;
  for (const Geometry& g : kGeometries) {
    cases.push_back({str(g.x, " * ", g.weight),
                     {{g.x}, {g.weight}, {{g.weight[0]}}},
                     [g](const Inputs& in) { return F::conv(in[0], in[1], in[2], g.stride, g.padding); },
                     terms_of(g)});
  }
  check_operation("conv", cases);
}

TEST_CASE("conv: a batch of many chunks has the same bits for any number of threads") {
  // 128 KiB an image, so chunks of 3 and 4 images, and weight groups of 1 and 2.
  check_operation("conv", {{"13 images",
                            {{{13, 16, 16, 64}}, {{64, 1, 1, 64}}},
                            [](const Inputs& in) { return F::conv(in[0], in[1], Variable(), 1, 0); },
                            13 * 16 * 16}});
}

TEST_CASE("conv: 3x3 over many channels rounds by less than 2e-6 of the results, y and both gradients") {
  const auto results = [](Dtype dtype) {
    Rng rng(1);  // the same numbers in each dtype
    const Variable x(normal({4, 16, 16, 256}, rng.next(), 1, dtype), true);
    const Variable weight(normal({64, 3, 3, 256}, rng.next(), 1, dtype), true);
    const Variable y = F::conv(x, weight, Variable(), /*stride=*/1, /*padding=*/1);
    y.backward(normal(y.shape(), rng.next(), 1, dtype));
    return std::array{y.value().to_doubles(), x.grad().to_doubles(), weight.grad().to_doubles()};
  };
  const auto found = results(Dtype::f32), wanted = results(Dtype::f64);
  for (size_t i = 0; i < found.size(); ++i) {
    double squares = 0, errors = 0;
    for (size_t j = 0; j < wanted[i].size(); ++j) {
      squares += wanted[i][j] * wanted[i][j];
      errors += (found[i][j] - wanted[i][j]) * (found[i][j] - wanted[i][j]);
    }
    INFO(i);
    CHECK(std::sqrt(errors / squares) < 2e-6);
  }
}

// With its engines tried: see CMakeLists.txt.
TEST_CASE(
    "conv: a device gives what the CPU gives, in layers of attention92, with padded channels and without") {
  if (cuda_status().device_count == 0) return;
  for (const Geometry& g : {Geometry{{8, 32, 32, 3}, {32, 3, 3, 3}, 1, 1},
                            {{8, 16, 16, 32}, {32, 3, 3, 32}, 1, 1},
                            {{8, 16, 16, 128}, {32, 1, 1, 128}, 1, 0},
                            {{8, 16, 16, 64}, {64, 3, 3, 64}, 2, 1}}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      INFO(g.x << " * " << g.weight << " in " << dtype);
      const auto results = [&](Device device) {
        Rng rng(1);
        const auto draw = [&](const Shape& shape) {
          return cast(normal(shape, rng.next()), dtype).to(device);
        };
        const Variable x(draw(g.x), true), weight(draw(g.weight), true);
        const Variable y = F::conv(x, weight, Variable(), g.stride, g.padding);
        y.backward(draw(y.shape()));
        return std::array{y.value(), x.grad(), weight.grad()};
      };
      const auto found = results(Device::cuda()), wanted = results(Device::cpu());
      for (size_t i = 0; i < found.size(); ++i) {
        check_near(found[i], wanted[i], tolerance(dtype, terms_of(g)));
      }
    }
  }
}

TEST_CASE("conv: by hand") {
  const Variable x = parameter({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
  const Variable weight = parameter({1, 10, 100, 1000}, {1, 2, 2, 1}), bias = parameter({0.5}, {1});
  const Variable y = F::conv(x, weight, bias, 1, 0);
  check_near(y.value(), {5421.5, 6532.5, 8754.5, 9865.5});
  y.backward(Tensor::from<double>({1, 0, 0, 2}, {1, 2, 2, 1}));
  check_near(x.grad(), {1, 10, 0, 100, 1002, 20, 0, 200, 2000});
  check_near(weight.grad(), {11, 14, 20, 23});
  check_near(bias.grad(), {3});
}

TEST_CASE("conv: padding and stride by hand") {
  const Variable x = parameter({1, 2, 3, 4}, {1, 2, 2, 1}),
                 weight = parameter(std::vector<double>(9, 1), {1, 3, 3, 1});
  check_near(F::conv(x, weight, Variable(), 1, 1).value(), {10, 10, 10, 10});
  check_near(F::conv(x, weight, Variable(), 2, 1).value(), {10});
}

TEST_CASE("conv: what does not fit is an error") {
  const Variable x = Tensor::zeros({2, 4, 4, 3}), weight = Tensor::zeros({5, 3, 3, 3});
  check_error("conv", [&] { F::conv(x, Tensor::zeros({5, 3, 3, 4}), Variable(), 1, 1); });
  check_error("conv", [&] { F::conv(Tensor::zeros({4, 4, 3}), weight, Variable(), 1, 1); });
  check_error("conv", [&] { F::conv(x, Tensor::zeros({5, 3, 3, 3}, Dtype::f64), Variable(), 1, 1); });
  check_error("conv", [&] { F::conv(x, weight, Tensor::zeros({4}), 1, 1); });
  check_error("conv", [&] { F::conv(x, weight, Variable(), 0, 1); });
  check_error("conv", [&] { F::conv(x, weight, Variable(), 1, -1); });
  check_error("conv", [&] { F::conv(x, Tensor::zeros({5, 7, 7, 3}), Variable(), 2, 1); });
}

TEST_CASE("conv: no images give no output, and gradients of zero") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    for (const int64_t kernel : {1, 3}) {
      INFO(dtype << " " << kernel);
      const Variable x(Tensor::empty({0, 5, 5, 4}, dtype), true);
      const Variable weight(Tensor::full({3, kernel, kernel, 4}, 2, dtype), true);
      const Variable bias(Tensor::full({3}, 2, dtype), true);
      const Variable y = F::conv(x, weight, bias, /*stride=*/1, /*padding=*/kernel / 2);
      CHECK(y.shape() == Shape{0, 5, 5, 3});
      y.backward(Tensor::empty(y.shape(), dtype));
      CHECK(weight.grad().to_doubles() ==
            std::vector<double>(static_cast<size_t>(12 * kernel * kernel), 0.0));
      CHECK(bias.grad().to_doubles() == std::vector<double>(3, 0.0));
      CHECK(x.grad().shape() == x.shape());
    }
  }
}
