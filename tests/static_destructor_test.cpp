// Objects with static storage that compute when the program ends: what the library keeps must outlive them.
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "fovea/core/allocator.h"
#include "fovea/core/autograd.h"
#include "fovea/core/parallel_for.h"
#include "fovea/layers/functional.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// Convolutions by oneDNN, by Winograd's form, and fused, a product, and their gradients; recorded
/// and observed. Returns a number that depends on all of them.
double compute(int64_t size) {
  double total = 0;
  const OperationObserver observer([&](std::string_view, const Tensor&, auto) { total += 1; });
  const auto filled = [&](const Shape& shape, double value) {
    return Variable(Tensor::full(shape, value), /*requires_grad=*/true);
  };
  const Variable x = filled({2, size, size, 16}, 0.5), weight = filled({16, 3, 3, 16}, 0.25);
  Tensor mean = Tensor::zeros({16});
  Tensor variance = Tensor::full({16}, 1.0);
  const Variable one = filled({16}, 1.0), pointwise = filled({16, 1, 1, 16}, 0.125);
  Variable y = F::conv(x, weight, {}, /*stride=*/2, /*padding=*/1);
  y = F::conv(y, weight, {}, 1, 1);
  y = F::preactivation_convs(y, {{one, one, mean, variance, {.training = false}, pointwise}});
  y = F::linear(F::global_average(y), filled({4, 16}, 0.5), {});
  F::mean(F::softmax(y)).backward();
  total += x.grad().to_doubles()[0] + weight.grad().to_doubles()[0] + y.value().to_doubles()[0];
  total += static_cast<double>(memory_stats().in_use > 0);
  return total;
}

/// Made before main, and so destroyed after everything that is made in it.
struct Last {
  ~Last() {
    set_num_threads(2);
    const NoGrain shared_by_threads;
    for (const int64_t size : {8, 16, 12}) {
      const double found = compute(size);
      if (!std::isfinite(found) || (size == 8 && wanted != 0 && std::abs(found / wanted - 1) > 1e-6)) {
        std::cerr << "static_destructor: at the end " << found << ", wanted " << wanted << std::endl;
        std::_Exit(3);
      }
    }
  }
  double wanted = 0;  // what main has found; 0: nothing was computed there
} last;

}  // namespace

TEST_CASE("static_destructor: convolutions in main and in a destructor of static storage give the same") {
  set_num_threads(2);
  const NoGrain shared_by_threads;
  last.wanted = compute(8);
  CHECK(last.wanted != 0);
}

TEST_CASE("static_destructor: a destructor of static storage convolves first", "[.][first]") {
  CHECK(last.wanted == 0);
}
