#include "fovea/kernels/sgd.h"

#include "fovea/core/parallel_for.h"
#include "fovea/core/random.h"
#include "op_test.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("sgd: two steps by hand") {
  kernels::SgdSettings settings{.momentum = 0.5, .weight_decay = 0.1, .nesterov = false, .decay_count = 1};
  const Tensor rate = Tensor::full({}, 0.25, Dtype::f64);
  const Tensor gradient = Tensor::from<double>({1, -3}, {2});
  const auto after_two_steps = [&] {
    Tensor velocity = Tensor::zeros({2}, Dtype::f64), weight = Tensor::from<double>({10, 20}, {2});
    kernels::sgd_step(gradient, rate, settings, velocity, weight);
    kernels::sgd_step(gradient, rate, settings, velocity, weight);
    return std::pair(weight, velocity);
  };

  // The first weight decays: g = 1 + 0.1 * 10 = 2, v = 2, w = 10 - 0.25 * 2 = 9.5;
  // then g = 1.95, v = 0.5 * 2 + 1.95 = 2.95, w = 9.5 - 0.25 * 2.95 = 8.7625.
  // The second does not: v = -3, w = 20.75; then v = -4.5, w = 21.875.
  const auto [weight, velocity] = after_two_steps();
  check_near(weight, {8.7625, 21.875});
  check_near(velocity, {2.95, -4.5});

  // Nesterov: w = 10 - 0.25 * (2 + 0.5 * 2) = 9.25; g = 1.925, v = 2.925, w = 9.25 - 0.25 * (1.925 + 1.4625).
  // The second: w = 20 + 0.25 * 4.5 = 21.125; v = -4.5, w = 21.125 + 0.25 * 5.25 = 22.4375.
  settings.nesterov = true;
  const auto [nesterov_weight, nesterov_velocity] = after_two_steps();
  check_near(nesterov_weight, {8.403125, 22.4375});
  check_near(nesterov_velocity, {2.925, -4.5});
}

TEST_CASE("sgd: decays the first elements alone, in f32 with the same bits for any number of threads") {
  constexpr int64_t kSize = 50001, kDecayCount = 12345;
  const kernels::SgdSettings settings{
      .momentum = 0.9, .weight_decay = 0.5, .nesterov = true, .decay_count = kDecayCount};
  const Tensor rate = Tensor::full({}, 0.1);
  const Tensor gradient = normal({kSize}, Random(1, Purpose::test));
  const Tensor start = normal({kSize}, Random(2, Purpose::test));
  const NoGrain no_grain;
  const int threads_before = num_threads();
  Tensor first;
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    Tensor velocity = Tensor::zeros({kSize}), weight = start.clone();
    kernels::sgd_step(gradient, rate, settings, velocity, weight);
    if (!first.defined()) first = weight;
    CHECK(same_bits(weight, first));
  }
  set_num_threads(threads_before);

  std::vector<double> wanted;
  const std::vector<double> w = start.to_doubles(), dw = gradient.to_doubles();
  for (size_t i = 0; i < w.size(); ++i) {
    const double g = dw[i] + (i < kDecayCount ? 0.5 : 0) * w[i];
    wanted.push_back(w[i] - 0.1 * 1.9 * g);
  }
  check_near(first, wanted, 1e-6);
}

TEST_CASE("sgd: errors") {
  Tensor velocity = Tensor::zeros({2}, Dtype::bf16), weight = Tensor::zeros({2}, Dtype::bf16);
  check_error("sgd", [&] { kernels::sgd_step(weight, Tensor::zeros({}), {}, velocity, weight); });
}
