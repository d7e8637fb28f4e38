#include "fovea/kernels/finite.h"

#include <cmath>
#include <limits>

#include "fovea/core/parallel_for.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

int64_t count(const Tensor& x) {
  int64_t result = -1;
  kernels::count_non_finite(x, result);
  return result;
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
  CHECK_THROWS_AS(count(Tensor::zeros({1}, Dtype::i32)), Error);
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
