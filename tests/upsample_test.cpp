#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Geometry {
  Shape x;
  int64_t out_h, out_w;

  Shape y() const { return {x[0], out_h, out_w, x[3]}; }
};

const std::vector<Geometry>& geometries() {
  // The last ones take the grid of the emulated device more than one pack a thread, and strips of several
  // rows in the backward pass; the strips do not divide the rows.
  static const std::vector<Geometry> all = {
      {{2, 2, 3, 1}, 4, 6},       {{2, 4, 4, 7}, 8, 8},     {{1, 3, 2, 8}, 7, 5},
      {{1, 2, 2, 15}, 3, 3},      {{1, 4, 5, 16}, 9, 11},   {{2, 3, 3, 17}, 5, 6},
      {{1, 2, 2, 33}, 4, 4},      {{1, 1, 1, 3}, 4, 5},     {{2, 1, 4, 2}, 1, 9},
      {{1, 5, 7, 3}, 1, 1},       {{1, 7, 9, 3}, 3, 4},     {{1, 13, 11, 2}, 2, 5},
      {{1, 5, 5, 4}, 5, 5},       {{3, 35, 33, 8}, 70, 66}, {{1, 131, 9, 16}, 260, 18},
      {{1, 129, 131, 1}, 67, 40},
  };
  return all;
}

}  // namespace

TEST_CASE("upsample: properties") {
  std::vector<OperationCase> cases;
  for (const Geometry& g : geometries()) {
    cases.push_back({str(g.x, " to ", g.y()),
                     {{g.x}},
                     [g](const Inputs& x) { return F::upsample(x[0], g.out_h, g.out_w); },
                     /*terms=*/16});
  }
  check_operation("upsample", cases);
}

TEST_CASE("upsample_add: properties, and upsample + add") {
  std::vector<OperationCase> cases;
  for (const Geometry& g : geometries()) {
    cases.push_back({str(g.x, " to ", g.y()),
                     {{g.x}, {g.y()}},
                     [](const Inputs& x) { return F::upsample_add(x[0], x[1]); },
                     /*terms=*/16});
    check_same_function(cases.back(),
                        [g](const Inputs& x) { return F::add(F::upsample(x[0], g.out_h, g.out_w), x[1]); });
  }
  check_operation("upsample_add", cases);
}

TEST_CASE("upsample: by hand, 2 x 2 to 3 x 3") {
  const Variable x = parameter({1, 3, 5, 11}, {1, 2, 2, 1});
  const Variable y = F::upsample(x, 3, 3);
  check_near(y.value(), {1, 2, 3,  //
                         3, 5, 7,  //
                         5, 8, 11});
  y.backward(Tensor::from<double>({1, 2, 4, 8, 16, 32, 64, 128, 256}, {1, 3, 3, 1}));
  check_near(x.grad(), {1 + 1 + 4 + 4, 1 + 4 + 4 + 16, 4 + 4 + 64 + 64, 4 + 16 + 64 + 256});
}

TEST_CASE("upsample: corners stay, a single output reads the first input") {
  const Variable x = parameter({1, 2, 3, 4, 5, 6}, {1, 2, 3, 1});
  const std::vector<double> y = F::upsample(x, 7, 10).value().to_doubles();
  CHECK(y.front() == 1);
  CHECK(y[9] == 3);
  CHECK(y[60] == 4);
  CHECK(y.back() == 6);
  check_near(F::upsample(x, 1, 1).value(), {1});
  check_near(F::upsample(x, 2, 3).value(), {1, 2, 3, 4, 5, 6});
  check_near(F::upsample(x, 1, 2).value(), {1, 3});
}

TEST_CASE("upsample: errors") {
  const Variable x = Tensor::zeros({1, 2, 2, 3});
  check_error("upsample", [&] { F::upsample(x, 0, 4); });
  check_error("upsample", [&] { F::upsample(x, 4, -1); });
  check_error("upsample", [&] { F::upsample(Tensor::zeros({2, 2, 3}), 4, 4); });
  check_error("upsample", [&] { F::upsample(Tensor::zeros({1, 2, 0, 3}), 4, 4); });
  check_error("upsample", [&] { F::upsample(Tensor::zeros({1, 2, 2, 3}, Dtype::u8), 4, 4); });
  check_error("upsample_add", [&] { F::upsample_add(x, Tensor::zeros({1, 4, 4, 2})); });
  check_error("upsample_add", [&] { F::upsample_add(x, Tensor::zeros({2, 4, 4, 3})); });
  check_error("upsample_add", [&] { F::upsample_add(x, Tensor::zeros({1, 4, 4, 3}, Dtype::f64)); });
  check_error("upsample_add", [&] { F::upsample_add(x, Tensor::zeros({4, 4, 3})); });
}
